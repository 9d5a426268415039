"""What all kinds of clients share, as `kinds.py` and `kinds_phoenix.py` have them.

A client says one word at a time, in whatever its protocol has for free data, as the member `say`. What
it sees is its `sight`: for each user the words of its sessions, sorted; the same for all kinds.
"""

import time

from relay import Relay


class Client:
    """What all kinds share."""

    #: Its name in the names of users.
    kind = ""
    #: Clients of this kind do not see themselves.
    hides_itself = False
    #: A client that comes back is the same session as before: it has an id that stays.
    keeps_session = False
    #: A connection that breaks ends the session at once, without waiting for a lease.
    ends_with_socket = True
    #: The client connects again by itself.
    returns = False
    #: It shows one word of a user, whatever the number of sessions.
    shows_one = False
    #: The shortest and the longest time in seconds until a client that fell silent is gone.
    lease = (0, 0)

    def __init__(self, base, room, user):
        self.base, self.room, self.user = base, room, user
        self.word, self.relay = None, None
        self.sight = {}
        #: The users that went out of sight, in order, and for how long they had been in it.
        self.lost, self.stays, self.since = [], [], {}
        #: What the node said of what it shows being old; for kinds that have a word for it.
        self.stale = []

    def __repr__(self):
        return self.user

    def saw(self, said):
        """Takes what is seen now: pairs of a user and a word."""
        sight = {}
        for user, word in said:
            sight.setdefault(user, []).append(word)
        now = time.monotonic()
        for user in self.sight.keys() - sight.keys():
            self.lost.append(user)
            self.stays.append(now - self.since.pop(user))
        for user in sight.keys() - self.sight.keys():
            self.since[user] = now
        self.sight = {user: sorted(words, key=repr) for user, words in sight.items()}

    def expects(self, said):
        """Of what is said, for each user a list of words: what this client is to see."""
        return {u: w for u, w in said.items() if not (self.hides_itself and u == self.user)}

    # Of each kind: `enter` connects and says its word; `say` says another; `leave` says good-bye;
    # `stop` ends what runs for the client here, and says nothing.

    async def join(self, word):
        """Enters the room, through a relay of its own."""
        self.word = word
        self.relay = self.relay or await Relay.start(self.base)
        await self.enter()

    async def back(self, word):
        """Comes again, with the same user, and the same id of client or session if it has one."""
        self.relay.accepts = True
        if self.returns:
            return await self.say(word)
        self.stop()
        await self.join(word)

    async def move(self, base, word):
        """Its connection breaks, and it comes again at another node."""
        self.drop()
        self.base, self.relay = base, None
        await self.join(word)

    def drop(self):
        """Its connection breaks, and it does not come back."""
        self.relay.tear()
        self.stop()
