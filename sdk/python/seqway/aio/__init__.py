"""The client for asyncio; `seqway.sync` is generated from it."""
