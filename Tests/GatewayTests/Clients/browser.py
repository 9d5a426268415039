#!/usr/bin/env python3
"""The page of the gateway in real browsers, on two or more nodes of one mesh.

    browser.py http://127.0.0.1:7980 http://127.0.0.1:7981 [--screenshots DIR]

Needs the package `playwright` and a Chromium. The nodes run in trusted mode; with `--demo` on the
first one, its links are cut and healed too. Prints one line per check, and exits with 1 at the
first that fails.
"""

import argparse
import concurrent.futures
import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

from playwright.sync_api import TimeoutError as PageTimeout
from playwright.sync_api import sync_playwright

INTERVAL = 1000
LEASE = 2.5 * INTERVAL / 1000
CROWD = 200
LONGEST_TASK = 200


class Failure(Exception):
    pass


def demand(condition, seen):
    if not condition:
        raise Failure(seen)


def eventually(question, seconds, what, between=0.05):
    """Waits for a true answer; a failure tells the last one."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(between)


def call(base, path, body=None, method=None):
    """One request to a node; waits when the node says that it is asked too often."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        base + path, data, {"content-type": "application/json"}, method=method
    )
    for _ in range(50):
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 429:
                raise Failure(f"{path}: HTTP {error.code} {error.read()[:300]!r}") from error
            time.sleep(min(2, float(error.headers.get("Retry-After") or 0.2)))
    raise Failure(f"{path}: still too many requests")


class Visitor:
    """One person in a browser of their own: no storage is shared with the others."""

    def __init__(self, test, base, name, room=None, **look):
        self.test, self.base, self.name = test, base, name
        look.setdefault("viewport", {"width": 1280, "height": 860})
        self.context = test.browser.new_context(**look)
        self.context.add_init_script(WATCH_TASKS)
        self.page = self.context.new_page()
        self.heard, self.complaints = [], []
        self.listen(self.page)
        query = {"room": room or test.room, "name": name, "interval": INTERVAL}
        self.page.goto(f"{base}/?{urllib.parse.urlencode(query)}")
        self.arrive()

    def listen(self, page):
        page.on("websocket", lambda socket: socket.on("framereceived", self.receive))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda line: line.type == "error" and self.complaints.append(line.text))

    def receive(self, frame):
        self.heard.append(json.loads(frame))

    def of_type(self, kind, since=0):
        return [message for message in self.heard[since:] if message["type"] == kind]

    def arrive(self):
        """Until the own row is there."""
        self.page.wait_for_selector(f"#roster li:has-text('{self.name} (you)')", timeout=15_000)

    def row(self, name):
        return self.page.locator("#roster li").filter(has_text=name).first

    def sees(self, name, text, seconds=10):
        row = self.row(name)
        try:
            row.filter(has_text=text).wait_for(timeout=seconds * 1000)
        except PageTimeout:
            seen = row.inner_text(timeout=500) if row.count() else "no such row"
            raise Failure(f"{self.name} sees {seen!r}, not {text!r} of {name}") from None

    def close(self):
        self.context.close()


# Long tasks since the last reading; the browser reports those above 50 ms.
WATCH_TASKS = """
window.longTasks = [];
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.longTasks.push(Math.round(task.duration));
}).observe({ type: "longtask", buffered: true });
"""

# A headless browser never hides a page, so that the page is told as a hidden one would be.
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
  Object.defineProperty(document, "visibilityState", {
    get: () => (hidden ? "hidden" : "visible"), configurable: true,
  });
  document.dispatchEvent(new Event("visibilitychange"));
}"""

# Where the one cursor with this label is shown, as shares of the canvas.
CURSOR = """(name) => {
  const host = document.getElementById("cursors");
  const box = host.getBoundingClientRect();
  for (const cursor of host.shadowRoot.querySelectorAll(".cursor")) {
    if (cursor.querySelector(".label").textContent !== name) continue;
    const { left, top } = cursor.getBoundingClientRect();
    const shown = !cursor.classList.contains("out");
    return { x: (left - box.left) / box.width, y: (top - box.top) / box.height, shown };
  }
  return null;
}"""

# Asked in the page itself: what looks through the page from outside is work for the page, too.
ROWS = """document.getElementById("roster").shadowRoot
  .querySelectorAll("li[data-condition]:not([data-condition=offline])").length"""

# Every place where that cursor is drawn in the next 1.5 s.
SAMPLE = """() => {
  const find = %s;
  window.places = [];
  const end = performance.now() + 1500;
  const look = () => {
    const seen = find("Grace");
    if (seen) window.places.push(seen.x);
    if (performance.now() < end) requestAnimationFrame(look);
  };
  look();
}""" % CURSOR


class Test:
    def __init__(self, browser, bases, screenshots):
        self.browser, self.bases, self.screenshots = browser, bases, screenshots
        self.room = f"browser-{uuid.uuid4().hex[:6]}"
        self.ada = self.grace = None

    def run(self):
        checks = [
            self.meet, self.status, self.typing, self.cursors, self.profile, self.hidden,
            self.reload, self.duplicate, self.change_room, self.killed, self.escaping, self.crowd,
            self.partition, self.looks, self.quiet,
        ]
        for check in checks:
            what = check.__doc__.strip().splitlines()[0].rstrip(".")
            started = time.monotonic()
            try:
                note = check()
            except (Failure, PageTimeout) as failure:
                print(f"FAIL {what}: {failure}", flush=True)
                self.picture(self.ada, "failed-ada")
                self.picture(self.grace, "failed-grace")
                return 1
            took = time.monotonic() - started
            print(f" ok  {what} ({took:.1f} s){': ' + note if note else ''}", flush=True)
        return 0

    def picture(self, visitor, name):
        if self.screenshots and visitor:
            visitor.page.screenshot(path=os.path.join(self.screenshots, f"{name}.png"))

    def meet(self):
        """Two browsers on two nodes see each other online."""
        self.ada = Visitor(self, self.bases[0], "Ada")
        self.grace = Visitor(self, self.bases[1], "Grace")
        self.ada.sees("Grace", "online")
        self.grace.sees("Ada", "online")
        label = self.ada.page.locator("#pile button[aria-haspopup]").get_attribute("aria-label")
        demand("2 people" in label and "Grace" in label, f"the face pile says {label!r}")

    def status(self):
        """A status and its message are seen on the other node."""
        page = self.grace.page
        page.select_option("#status", "busy")
        page.fill("#message", "reviewing heads")
        page.keyboard.press("Enter")
        self.ada.sees("Grace", "busy")
        self.ada.sees("Grace", "reviewing heads")

    def typing(self):
        """Typing is seen at once, and ends by itself."""
        line = self.ada.page.locator("#typing [role=status]")
        self.grace.page.focus("#text")
        self.grace.page.keyboard.type("hello")
        eventually(lambda: "Grace is typing" in line.inner_text(), 3, "typing is shown")
        eventually(lambda: "typing" not in line.inner_text(), 8, "typing is no longer shown")

    def cursors(self):
        """A cursor arrives where it was pointed to, and moves there smoothly."""
        box = self.grace.page.locator("#cursors").bounding_box()

        def point(x, y):
            self.grace.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])

        def cursor():
            return self.ada.page.evaluate(CURSOR, "Grace")

        def at(x, y):
            seen = cursor()
            return seen and seen["shown"] and max(abs(seen["x"] - x), abs(seen["y"] - y)) < 0.01

        point(0.1, 0.2)
        eventually(lambda: at(0.1, 0.2), 5, "the first position")
        self.ada.page.evaluate(SAMPLE)
        point(0.8, 0.7)
        eventually(lambda: at(0.8, 0.7), 5, "the last position")
        time.sleep(0.3)
        between = {round(x, 3) for x in self.ada.page.evaluate("window.places") if 0.11 < x < 0.79}
        demand(len(between) >= 3, f"the cursor jumped: only {sorted(between)} between the ends")
        self.grace.page.mouse.move(2, 2)
        eventually(lambda: not cursor()["shown"], 5, "a cursor that left is hidden")
        return f"{len(between)} places between the ends"

    def profile(self):
        """A changed name is seen on the other node."""
        self.grace.page.fill("#name", "Grace Hopper")
        self.grace.page.keyboard.press("Enter")
        self.ada.sees("Grace Hopper", "busy")
        self.grace.page.fill("#name", "Grace")
        self.grace.page.keyboard.press("Enter")
        eventually(lambda: self.ada.row("Grace Hopper").count() == 0, 5, "the name is changed back")

    def hidden(self):
        """A hidden tab is away, and what it was when it is shown again."""
        self.grace.page.evaluate(HIDE, True)
        self.ada.sees("Grace", "away")
        self.grace.page.evaluate(HIDE, False)
        self.ada.sees("Grace", "busy")
        self.ada.sees("Grace", "reviewing heads")

    def reload(self):
        """A reload keeps the session: nobody sees it go."""
        before, since = len(self.ada.heard), len(self.grace.heard)
        session = self.grace.of_type("joined")[-1]["sessionId"]
        self.grace.page.reload()
        self.grace.arrive()
        joined = eventually(lambda: self.grace.of_type("joined", since), 5, "joined")[-1]
        demand(joined["sessionId"] == session, f"session {joined['sessionId']}, not {session}")
        demand(joined["restored"] is True, f"restored is {joined['restored']}")
        time.sleep(LEASE + 4)
        for kind in ("presence.offline", "presence.online"):
            demand(not self.ada.of_type(kind, before), f"seen: {self.ada.of_type(kind, before)}")
        self.ada.sees("Grace", "busy")

    def duplicate(self):
        """A duplicated tab is a device of its own, and closing it is no leaving."""
        before = len(self.ada.heard)
        # A tab that is opened by a script starts with a copy of the session storage, as a
        # duplicated one does.
        with self.grace.context.expect_page() as opened:
            self.grace.page.evaluate("window.open(location.href) && null")
        twin = opened.value
        twin.wait_for_selector("#roster li:has-text('(you)')")
        self.ada.sees("Grace", "2 devices")
        twin.close(run_before_unload=False)
        self.ada.sees("Grace", "1 device", LEASE + 15)
        self.grace.sees("Grace (you)", "1 device")
        demand(not self.ada.of_type("presence.offline", before), "Grace was seen going")

    def change_room(self):
        """Who goes to another room goes from this one, and is listed there."""
        page = self.grace.page
        page.fill("#room-name", f"{self.room}-2")
        page.keyboard.press("Enter")
        self.ada.sees("Grace", "seen")
        self.ada.page.wait_for_selector(f"#rooms button:has-text('{self.room}-2')", timeout=10_000)
        page.click(f"#rooms button[aria-label^='{self.room},']")
        self.ada.sees("Grace", "1 device")

    def killed(self):
        """Who is killed goes when the lease ends, and not before."""
        linus = Visitor(self, self.bases[-1], "Linus")
        self.ada.sees("Linus", "online")
        # Beyond the first beats, so that the lease is a whole one.
        time.sleep(1.5)
        killed = time.monotonic()
        try:
            linus.page.goto("chrome://crash", timeout=2_000)
        except Exception:  # The page is dead: any answer will do.
            pass
        self.ada.sees("Linus", "seen", LEASE + 20)
        took = time.monotonic() - killed
        linus.context.close()
        told = f"gone after {took:.1f} s, the lease is {LEASE} s"
        # The last beat before the end may have been almost an interval ago.
        demand(took > LEASE - INTERVAL / 1000 - 0.3, told)
        return told

    def escaping(self):
        """Names, messages, colours and avatars of others are text, and nothing else."""
        opened = call(self.bases[1], "/api/v1/heartbeat", {
            "room": self.room, "sessionId": uuid.uuid4().hex, "interval": 60_000,
            "user": {"id": "mallory", "name": "<img src=x onerror=alert(1)>",
                     "avatar": "javascript:alert(1)"},
            "status": "active", "message": "</li><script>alert(1)</script>",
        })
        self.ada.sees("<img src=x", "</li><script>")
        hostile = self.ada.page.evaluate("""() => [...document.querySelectorAll("*")]
          .map((host) => host.shadowRoot?.querySelectorAll("img, script").length ?? 0)
          .reduce((sum, count) => sum + count, 0)""")
        demand(hostile == 0, f"{hostile} elements were made of what others said")
        call(self.bases[1], "/api/v1/disconnect", {"sessionToken": opened["sessionToken"]})

    def crowd(self):
        """200 users who join at once keep the page smooth."""
        page = self.ada.page
        page.evaluate("window.longTasks.length = 0")
        run = uuid.uuid4().hex[:8]
        sessions = []

        def beat(index):
            base = self.bases[index % len(self.bases)]
            answer = call(base, "/api/v1/heartbeat", {
                "room": self.room, "sessionId": f"{run}-{index}", "interval": 60_000,
                "device": "crowd", "user": {"id": f"{run}-{index}", "name": f"Guest {index:03}"},
                "status": ("online", "busy", "away", "idle")[index % 4],
            })
            return base, answer["sessionToken"]

        started = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            sessions = list(pool.map(beat, range(CROWD)))
            eventually(lambda: page.evaluate(ROWS) >= CROWD + 2, 30, "all rows are there", 0.3)
            took = time.monotonic() - started
            time.sleep(0.5)
            # Taking a picture is a long task of its own.
            tasks = page.evaluate("window.longTasks")
            self.picture(self.ada, "crowd")
            page.evaluate("window.longTasks.length = 0")
            for base, token in sessions:
                pool.submit(call, base, "/api/v1/disconnect", {"sessionToken": token})
        eventually(lambda: page.evaluate(ROWS) < 10, 30, "the crowd has gone", 0.3)
        longest = max(tasks + page.evaluate("window.longTasks"), default=0)
        demand(longest <= LONGEST_TASK, f"a task of {longest} ms")
        return f"{CROWD} in {took:.1f} s, longest task {longest or 'below 50'} ms"

    def partition(self):
        """A node that is cut off says so, and is whole again after healing."""
        if not call(self.bases[0], "/api/v1/nodes").get("demo"):
            return "left out: the first node does not run with --demo"
        switch, page = self.ada.page.locator("#cut-label"), self.ada.page
        switch.click()
        page.wait_for_selector("#stale:not([hidden])", timeout=90_000)
        self.picture(self.ada, "cut")
        self.picture(self.grace, "cut-other-side")
        self.grace.page.select_option("#status", "idle")
        time.sleep(1)
        demand(self.ada.row("Grace").filter(has_text="idle").count() == 0, "heard through the cut")
        switch.click()
        page.wait_for_selector("#stale", state="hidden", timeout=60_000)
        self.ada.sees("Grace", "idle", 60)
        self.grace.sees("Ada", "online", 60)

    def looks(self):
        """Light and dark, 375 and 1440 px: nothing is wider than the window."""
        for scheme in ("light", "dark"):
            for width, height in ((375, 812), (1440, 900)):
                visitor = Visitor(
                    self, self.bases[0], "Margaret", color_scheme=scheme,
                    viewport={"width": width, "height": height},
                )
                time.sleep(1.5)
                excess = visitor.page.evaluate("document.documentElement.scrollWidth - innerWidth")
                if self.screenshots:
                    path = os.path.join(self.screenshots, f"page-{scheme}-{width}.png")
                    visitor.page.screenshot(path=path, full_page=True)
                self.complain(visitor)
                visitor.close()
                demand(excess <= 0, f"{excess} px too wide at {width} px, {scheme}")

    def complain(self, visitor):
        demand(not visitor.complaints, f"{visitor.name}: {visitor.complaints[:3]}")

    def quiet(self):
        """No page has complained: no error, nothing against the content security policy."""
        for visitor in (self.ada, self.grace):
            self.complain(visitor)
            visitor.close()


def main():
    parser = argparse.ArgumentParser(description="The gateway's page in real browsers.")
    parser.add_argument("bases", nargs="+", metavar="URL", help="two or more nodes of one mesh")
    parser.add_argument("--screenshots", metavar="DIR")
    parser.add_argument(
        "--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"),
        help="the browser; default: the installed one, else that of playwright",
    )
    options = parser.parse_args()
    if len(options.bases) < 2:
        parser.error("two nodes are needed")
    if options.screenshots:
        os.makedirs(options.screenshots, exist_ok=True)
    bases = [base.rstrip("/") for base in options.bases]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=options.chromium, args=["--no-sandbox"]
        )
        try:
            return Test(browser, bases, options.screenshots).run()
        finally:
            browser.close()


if __name__ == "__main__":
    sys.exit(main())
