"""A TCP relay before a node, whose connections can break or go silent."""

import asyncio


class Relay:
    """Clients connect to `base` instead of the node's; what happens then is the network's fault."""

    @classmethod
    async def start(cls, base):
        self = cls()
        self.host, port = base.removeprefix("http://").split(":")
        self.port = int(port)
        self.accepts = True
        self.pairs = []
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def _serve(self, reader, writer):
        if not self.accepts:
            writer.transport.abort()
            return
        try:
            back, forth = await asyncio.open_connection(self.host, self.port)
        except OSError:
            writer.transport.abort()
            return
        pumps = [
            asyncio.create_task(self._pump(reader, forth)),
            asyncio.create_task(self._pump(back, writer)),
        ]
        pair = (pumps, writer, forth)
        self.pairs.append(pair)
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            return  # the program ends
        # What was made silent stays as it is: neither side learns anything.
        if any(pump.cancelled() for pump in pumps):
            return
        self.pairs.remove(pair)
        for pump in pumps:
            pump.cancel()
        for side in (writer, forth):
            side.close()

    @staticmethod
    async def _pump(source, sink):
        try:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass

    def freeze(self, accepts=False):
        """No byte passes any more, in either direction, and nothing is closed."""
        self.accepts = accepts
        for pumps, _, _ in self.pairs:
            for pump in pumps:
                pump.cancel()

    def strand(self):
        """The clients' sides are reset, and the node is not told: half-open connections. New ones
        pass."""
        self.freeze(accepts=True)
        for _, client, _ in self.pairs:
            client.transport.abort()

    def tear(self, accepts=False):
        """Resets all connections on both sides."""
        self.accepts = accepts
        pairs, self.pairs = self.pairs, []
        for pumps, client, node in pairs:
            for pump in pumps:
                pump.cancel()
            for side in (client, node):
                side.transport.abort()
