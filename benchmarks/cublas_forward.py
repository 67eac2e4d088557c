"""A wheel that stands in for nvidia-cublas-cu12 on a host that has cuBLAS 13, for `bundle --lend FILE`.

    python benchmarks/cublas_forward.py FOLDER

TurboMind is linked against libcublas.so.12, of which it calls eight functions whose signatures CUDA 13 left alone, and
against libcublasLt.so.12, of which it calls none. The real wheel is 363 MB; this one jumps into the library that torch
has loaded. Its version says so, and stands in the records as what ran. ``cuMulticastCreate`` is refused: a program that
uses it can put a shared host's cards out of service.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "12.9.3.13+forwards.to.13"
WHEEL = f"nvidia_cublas_cu12-{VERSION}-py3-none-manylinux2014_x86_64.whl"
FUNCTIONS = (
    *("Create_v2", "Destroy_v2", "SetStream_v2", "SetWorkspace_v2", "GetMathMode", "SetMathMode"),
    *("GemmEx", "GemmGroupedBatchedEx"),
)
_HEAD = """
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
int cuMulticastCreate(void) { return 801; } /* CUDA_ERROR_NOT_SUPPORTED */
"""


def source() -> str:
    """The library in C; each function is a jump through a pointer that is filled in when it is loaded."""
    jumps = "".join(
        f"static void *target_{name} __attribute__((used));\n"
        f'__asm__(".text\\n.globl cublas{name}\\n.type cublas{name},@function\\n'
        f'cublas{name}: jmp *target_{name}(%rip)\\n");\n'
        for name in FUNCTIONS
    )
    fills = "".join(f'    target_{name} = found(library, "cublas{name}");\n' for name in FUNCTIONS)
    return f"""{_HEAD}
{jumps}
static void *found(void *library, const char *name) {{
    void *function = dlsym(library, name);
    if (!function) {{ fprintf(stderr, "cuBLAS 13 has no %s\\n", name); abort(); }}
    return function;
}}
__attribute__((constructor)) static void fill(void) {{
    void *library = dlopen("libcublas.so.13", RTLD_NOW);
    if (!library) {{ fprintf(stderr, "libcublas.so.12 forwards to cuBLAS 13: %s\\n", dlerror()); return; }}
{fills}}}
"""


def build(folder: Path) -> dict[str, bytes]:
    """Both libraries, by their path in the wheel."""
    made: dict[str, bytes] = {}
    for name, text in (("cublas", source()), ("cublasLt", "")):
        library = f"lib{name}.so.12"
        (folder / "source.c").write_text(text)
        (folder / "versions").write_text(f"{library} {{ global: cublas*; cuMulticastCreate; local: *; }};\n")
        command = ["gcc", "-shared", "-fPIC", "-O1", f"-Wl,-soname,{library}", "-Wl,--version-script=versions"]
        subprocess.run([*command, "-o", library, "source.c", "-ldl"], cwd=folder, check=True)
        made[f"nvidia/cublas/lib/{library}"] = (folder / library).read_bytes()
    return made


def main() -> None:
    """Write the wheel."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    information = f"nvidia_cublas_cu12-{VERSION}.dist-info"
    with tempfile.TemporaryDirectory() as scratch:
        files = build(Path(scratch))
    files[f"{information}/METADATA"] = f"Metadata-Version: 2.1\nName: nvidia-cublas-cu12\nVersion: {VERSION}\n".encode()
    files[f"{information}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-manylinux2014_x86_64\n"
    rows = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in files.items()]
    files[f"{information}/RECORD"] = "\n".join([*rows, f"{information}/RECORD,,", ""]).encode()
    with zipfile.ZipFile(out / WHEEL, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    print(out / WHEEL)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


if __name__ == "__main__":
    main()
