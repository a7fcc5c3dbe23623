"""A peer: CTranslate2 behind a plain grpc.aio server, with or without dynamic batching.

A call carries a text in UTF-8 and gets its translation so, without any message format: a server
that does more is slower.  It has no streams, limits, deadlines, tenants or metrics.
"""

import argparse
import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import ctranslate2
import grpc
import uvloop
from tokenizers import Tokenizer

from tests.benchmarks.open_loop.batcher import DynamicBatcher
from tests.benchmarks.open_loop.wire import METHOD, SERVICE


class PeerModel:
    """Batches of texts, as many at a time as there are workers."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._translator = ctranslate2.Translator(
            str(arguments.model),
            compute_type="int8",
            inter_threads=arguments.inter,
            intra_threads=arguments.intra,
        )
        self._tokenizer = Tokenizer.from_file(str(arguments.tokenizer))
        self._limit = arguments.max_new_tokens
        self._threads = ThreadPoolExecutor(arguments.inter)

    async def translate(self, texts: Sequence[str]) -> list[str]:
        """The translations; callers wait for a free worker."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, texts)

    def _run(self, texts: Sequence[str]) -> list[str]:
        sources = [encoding.tokens for encoding in self._tokenizer.encode_batch(list(texts))]
        results = self._translator.translate_batch(
            sources, beam_size=1, max_decoding_length=self._limit
        )
        decode = self._tokenizer.decoder.decode
        return [decode(list(result.hypotheses[0])) for result in results]


async def serve(arguments: argparse.Namespace) -> None:
    """Serves until it is ended."""
    model = PeerModel(arguments)
    async with AsyncExitStack() as stack:
        batcher = None
        if arguments.batching:
            made = DynamicBatcher(model.translate, arguments.inter, arguments.max_batch)
            batcher = await stack.enter_async_context(made)

        async def translate(message: bytes, _context: object) -> bytes:
            text = message.decode()
            if batcher is not None:
                return (await batcher(text)).encode()
            (answer,) = await model.translate([text])
            return answer.encode()

        server = grpc.aio.server()
        # Without a serializer: grpc.aio 1.85 calls one twice, the second time with its own result.
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
            translate
        )
        handlers = grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler})
        server.add_generic_rpc_handlers((handlers,))
        server.add_insecure_port(arguments.address)
        await server.start()
        await server.wait_for_termination()


def main() -> None:
    """Runs it in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a converted checkpoint")
    parser.add_argument("--tokenizer", type=Path, required=True, help="its tokenizer.json")
    parser.add_argument("--address", required=True)
    parser.add_argument("--inter", type=int, required=True, help="workers")
    parser.add_argument("--intra", type=int, required=True, help="threads of each worker")
    parser.add_argument("--max-new-tokens", type=int, required=True)
    parser.add_argument("--batching", action="store_true")
    parser.add_argument("--max-batch", type=int, default=32)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
