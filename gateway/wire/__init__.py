"""The edges: sockets on one side, `Exchange` and `Reply` on the other. Only this room names aiohttp and httptools."""
