"""Prints how often each line of the standard input stands in the memory of a process that a core dump would hold.

Lines that begin with 0x are bytes in hexadecimal. Exit code 77: the system does not let us look.
"""
import re
import sys


def regions(pid):
  """The readable parts that are not kept out of core dumps (the flag dd)."""
  bounds = None
  with open(f"/proc/{pid}/smaps") as maps:
    for line in maps:
      head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) .*?(\[vvar.*|\[vsyscall\])?$", line)
      if head:
        readable = head[3].startswith("r") and not head[4]
        bounds = (int(head[1], 16), int(head[2], 16)) if readable else None
      elif bounds and line.startswith("VmFlags:") and " dd" not in line:
        yield bounds


def main(pid):
  needles = [bytes.fromhex(line[2:]) if line.startswith("0x") else line.encode()
             for line in sys.stdin.read().splitlines()]
  counts = [0] * len(needles)
  try:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
      for start, end in regions(pid):
        try:
          memory.seek(start)
          content = memory.read(end - start)
        except (OSError, OverflowError):
          continue
        for index, needle in enumerate(needles):
          counts[index] += content.count(needle)
  except PermissionError:
    sys.exit(77)
  print(*counts)


main(int(sys.argv[1]))
