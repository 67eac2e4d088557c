"""Serve Qwen/Qwen2-VL-2B-Instruct with lmdeploy's turbomind engine (OpenAI-compatible, port 23333)."""

from lmdeploy import TurbomindEngineConfig
from lmdeploy.serve.openai.api_server import serve


def main() -> None:
    """Serve until stopped."""
    serve(
        'Qwen/Qwen2-VL-2B-Instruct',
        backend='turbomind',
        backend_config=TurbomindEngineConfig(cache_max_entry_count=0.36, max_batch_size=4, max_prefill_token_num=2048, session_len=2048, revision='895c3a49bc3fa70a340399125c650a463535e71c'),
        server_port=23333,
    )


if __name__ == "__main__":  # the engine starts processes that import this file again
    main()
