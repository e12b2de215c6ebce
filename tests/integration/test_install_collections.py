# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/install_collections.py with a Galaxy that is away, and with a scripted one that has every collection."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import yaml

from tests.http_server import serving
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
WANTED = {one["name"]: one["version"] for one in yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]}


def install(folder: Path, server: str) -> list[str]:
    command = [sys.executable, str(ROOT / "scripts" / "install_collections.py"), str(folder)]
    env = os.environ | {"ANSIBLE_GALAXY_SERVER": server, "ANSIBLE_HOME": str(folder / "home")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def versions(folder: Path) -> dict[str, str]:
    found = {}
    for manifest in folder.glob("ansible_collections/*/*/MANIFEST.json"):
        info = json.loads(manifest.read_text())["collection_info"]
        found[f"{info['namespace']}.{info['name']}"] = info["version"]
    return found


def built(folder: Path, name: str) -> bytes:
    """A collection without content, in the least version that is wanted."""
    source = folder / name
    source.mkdir()
    namespace, _dot, short = name.partition(".")
    version = WANTED[name].removeprefix(">=")
    galaxy = {"namespace": namespace, "name": short, "version": version, "readme": "README.md", "authors": ["nobody"]}
    (source / "galaxy.yml").write_text(json.dumps(galaxy))
    (source / "README.md").write_text(name)
    program = str(Path(sys.executable).with_name("ansible-galaxy"))
    subprocess.run([program, "collection", "build", "--output-path", folder, source], check=True, capture_output=True)
    return (folder / f"{namespace}-{short}-{version}.tar.gz").read_bytes()


@contextmanager
def galaxy(files: dict[str, bytes]) -> Iterator[str]:
    """A server with the part of Galaxy's API, v3, that an installation asks for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = self.path.partition("?")[0].strip("/").split("/")
            if parts[0] == "files":
                self.answer(files[parts[1]], "application/gzip")
            elif parts == ["api"]:
                self.say({"available_versions": {"v3": "v3/"}})
            elif parts[-1] == "versions":
                version = WANTED[f"{parts[3]}.{parts[4]}"].removeprefix(">=")
                self.say({"meta": {"count": 1}, "links": {"next": None}, "data": [{"version": version}]})
            else:
                self.say(self.release(*parts[3:5]))

        def release(self, namespace: str, name: str) -> dict[str, object]:
            content = files[f"{namespace}.{name}"]
            return {
                "namespace": {"name": namespace},
                "collection": {"name": name},
                "version": WANTED[f"{namespace}.{name}"].removeprefix(">="),
                "download_url": f"{url}/files/{namespace}.{name}",
                "artifact": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)},
                "metadata": {"dependencies": {}},
                "signatures": [],
                "href": self.path,
            }

        def say(self, body: object) -> None:
            self.answer(json.dumps(body).encode(), "application/json")

        def answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Test output stays ours."""

    with serving(Handler) as url:
        yield url


def test_without_galaxy_they_come_from_the_package(tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    said, *names = install(tmp_path, away)
    assert "Galaxy gave none" in said and "refused" in said and "taken from the package ansible" in said
    assert versions(tmp_path).keys() == WANTED.keys() and len(names) == len(WANTED)
    # They can be used, and a second run has nothing to do.
    assert (tmp_path / "ansible_collections/community/sops/plugins/vars/sops.py").is_file()
    assert install(tmp_path, away) == []


def test_galaxy_comes_first(tmp_path: Path) -> None:
    with galaxy({name: built(tmp_path, name) for name in WANTED}) as url:
        said = install(tmp_path, url)
    assert versions(tmp_path) == {name: version.removeprefix(">=") for name, version in WANTED.items()}
    assert len(said) == len(WANTED) and not any("package" in line for line in said)
    assert not (tmp_path / "ansible_collections/community/sops/plugins").exists()
