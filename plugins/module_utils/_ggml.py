# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: no stability is promised to others.

"""Which of llama.cpp's CPU backends a machine gets, by the rule with which ggml itself chooses among them."""

from __future__ import annotations

from collections.abc import Iterable

# ggml-org/llama.cpp ggml/src/CMakeLists.txt (013991d): variants and their features on Linux.
_X86_HASWELL = "SSE42 AVX F16C FMA AVX2 BMI2"
_X86 = {
    "x64": "",
    "sse42": "SSE42",
    "sandybridge": "SSE42 AVX",
    "ivybridge": "SSE42 AVX F16C",
    "piledriver": "SSE42 AVX F16C FMA",
    "haswell": _X86_HASWELL,
    "skylakex": f"{_X86_HASWELL} AVX512",
    "cannonlake": f"{_X86_HASWELL} AVX512 AVX512_VBMI",
    "cascadelake": f"{_X86_HASWELL} AVX512 AVX512_VNNI",
    "icelake": f"{_X86_HASWELL} AVX512 AVX512_VBMI AVX512_VNNI",
    "cooperlake": f"{_X86_HASWELL} AVX512 AVX512_VNNI AVX512_BF16",
    "zen4": f"{_X86_HASWELL} AVX512 AVX512_VBMI AVX512_VNNI AVX512_BF16",
    "alderlake": f"{_X86_HASWELL} AVX_VNNI",
    "sapphirerapids": f"{_X86_HASWELL} AVX512 AVX512_VBMI AVX512_VNNI AVX512_BF16 AMX_INT8",
}
_ARM = {
    "armv8.0_1": "",
    "armv8.2_1": "DOTPROD",
    "armv8.2_2": "DOTPROD FP16",
    "armv8.2_3": "DOTPROD FP16 SVE",
    "armv8.6_1": "DOTPROD FP16 SVE MATMUL_INT8",
    "armv8.6_2": "DOTPROD FP16 SVE MATMUL_INT8 SVE2",
    "armv9.2_1": "DOTPROD FP16 SVE MATMUL_INT8 SME",
    "armv9.2_2": "DOTPROD FP16 SVE MATMUL_INT8 SVE2 SME",
}
# ggml/src/ggml-cpu/arch/{x86,arm}/cpu-feats.cpp: the kernel's flags behind a feature, and the bit that it adds to the
# score. The kernel hides flags whose registers it does not save, which is ggml's XGETBV test.
_X86_FEATURES = {
    "FMA": ("fma", 0),
    "F16C": ("f16c", 1),
    "SSE42": ("sse4_2", 2),
    "BMI2": ("bmi2", 3),
    "AVX": ("avx", 4),
    "AVX2": ("avx2", 5),
    "AVX_VNNI": ("avx_vnni", 6),
    "AVX512": ("avx512f avx512cd avx512vl avx512dq avx512bw", 7),
    "AVX512_VBMI": ("avx512vbmi", 8),
    "AVX512_BF16": ("avx512_bf16", 9),
    "AVX512_VNNI": ("avx512_vnni", 10),
    "AMX_INT8": ("amx_int8", 11),
}
_ARM_FEATURES = {
    "DOTPROD": ("asimddp", 1),
    "FP16": ("asimdhp", 2),
    "SVE": ("sve", 3),
    "MATMUL_INT8": ("i8mm", 4),
    "SVE2": ("sve2", 5),
    "SME": ("sme", 6),
}
_TABLES = {"x86_64": (_X86, _X86_FEATURES), "aarch64": (_ARM, _ARM_FEATURES)}


def best_variant(architecture: str, flags: Iterable[str]) -> str | None:
    """The variant with the highest score whose features are all in `flags`; None where ggml has none to choose from."""
    if architecture not in _TABLES:
        return None
    variants, features = _TABLES[architecture]
    present = set(flags)
    scores = {}
    for name, needs in variants.items():
        wanted = [features[feature] for feature in needs.split()]
        if all(present.issuperset(kernel_flags.split()) for kernel_flags, _bit in wanted):
            scores[name] = sum(1 << bit for _kernel_flags, bit in wanted)
    return max(scores, key=lambda name: scores[name])
