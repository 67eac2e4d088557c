"""The release lists: what an index says, what is kept of it, and what happens when it says nothing."""

from __future__ import annotations

import base64
import http.server
import json
import os
import threading
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
import stamina
from packaging.version import Version

from harness.index.download import IndexUnavailable
from harness.index.package_index import PackageIndex
from harness.index.pages import JSON_PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = timedelta(days=1)
NEVER = timedelta(0)


def file(name: str, day: str, *, yanked: bool = False) -> dict[str, object]:
    return {"filename": name, "upload-time": f"{day}T12:00:00Z", "yanked": yanked, "url": f"https://x.invalid/{name}"}


PAGE = {
    "meta": {"api-version": "1.1"},
    "name": "some-package",
    "files": [
        file("some_package-1.0.0-py3-none-any.whl", "2025-01-01"),
        file("some_package-1.0.0.tar.gz", "2025-06-01"),
        file("some_package-1.10.0-py3-none-any.whl", "2026-01-04"),
        file("some_package-1.9.0-py3-none-any.whl", "2025-03-01", yanked=True),
        file("some_package-2.0.0rc1-py3-none-any.whl", "2026-01-05"),
        file("some_package-2.0.0-py3-none-any.whl", "2026-02-01", yanked=True),
        file("some_package-2.0.0.tar.gz", "2026-02-02"),
        file("other_package-9.0-py3-none-any.whl", "2025-01-01"),
        file("some_package-0.1-py2.7.egg", "2020-01-01"),
    ],
}


@dataclass
class Index:
    """A package index on this machine that can be told to fail."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    logins: list[str | None] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """Answers to give before the real one."""
    content_type: str = JSON_PAGE
    body: bytes = json.dumps(PAGE).encode()


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    state = Index()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer as the state says."""
            state.asked.append(self.path)
            state.logins.append(self.headers.get("Authorization"))
            status = state.statuses.pop(0) if state.statuses else 200
            known = self.path == "/simple/some-package/"
            self.send_response(status if known else 404)
            self.send_header("Content-Type", state.content_type)
            self.end_headers()
            self.wfile.write(state.body if known and status == 200 else b"")

        def log_message(self, *_: object) -> None:
            """Keep the test output quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/simple"
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_")) or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with stamina.set_testing(True, attempts=4):
        yield state
    server.shutdown()
    thread.join()
    server.server_close()


def versions(index: PackageIndex, as_of: date | None = None) -> list[str]:
    return [str(version) for version in index.versions("Some_Package", as_of)]


def test_releases_are_those_with_a_file_that_is_not_yanked(tmp_path: Path, index: Index) -> None:
    assert versions(PackageIndex(tmp_path, DAY, index.url)) == ["1.0.0", "1.10.0", "2.0.0rc1", "2.0.0"]


def test_a_day_counts_to_its_end_in_utc(tmp_path: Path, index: Index) -> None:
    known = PackageIndex(tmp_path, DAY, index.url)
    assert versions(known, date(2026, 1, 4)) == ["1.0.0", "1.10.0"]
    assert versions(known, date(2026, 1, 3)) == ["1.0.0"]
    assert versions(known, date(2026, 2, 1)) == ["1.0.0", "1.10.0", "2.0.0rc1"]
    assert versions(known, date(2024, 1, 1)) == []


def test_an_answer_is_kept_for_its_time(tmp_path: Path, index: Index) -> None:
    first = versions(PackageIndex(tmp_path, DAY, index.url))
    assert versions(PackageIndex(tmp_path, DAY, index.url)) == first
    assert len(index.asked) == 1
    again = PackageIndex(tmp_path, NEVER, index.url)
    assert versions(again) == versions(again) == first
    assert len(index.asked) == 2


def test_another_index_is_another_answer(tmp_path: Path, index: Index) -> None:
    versions(PackageIndex(tmp_path, DAY, index.url))
    versions(PackageIndex(tmp_path, DAY, index.url + "/"))
    assert len(index.asked) == 2


def test_a_damaged_kept_answer_is_asked_for_again(tmp_path: Path, index: Index) -> None:
    first = versions(PackageIndex(tmp_path, DAY, index.url))
    (kept,) = tmp_path.glob("*.json")
    kept.write_text('{"asked": 1, "releases": [["x", 3]]}')
    assert versions(PackageIndex(tmp_path, DAY, index.url)) == first
    assert len(index.asked) == 2


def test_fleeting_trouble_is_tried_again(tmp_path: Path, index: Index) -> None:
    index.statuses = [503, 429]
    assert versions(PackageIndex(tmp_path, DAY, index.url))
    assert len(index.asked) == 3


@pytest.mark.parametrize("status", [503, 403])
def test_lasting_trouble_is_unavailable_and_blames_the_index(tmp_path: Path, index: Index, status: int) -> None:
    index.statuses = [status] * 9
    with pytest.raises(IndexUnavailable, match=f"127.0.0.1.* answered {status}"):
        versions(PackageIndex(tmp_path, DAY, index.url))


def test_an_old_answer_is_better_than_none(tmp_path: Path, index: Index, caplog: pytest.LogCaptureFixture) -> None:
    first = versions(PackageIndex(tmp_path, DAY, index.url))
    index.statuses = [503] * 9
    assert versions(PackageIndex(tmp_path, NEVER, index.url)) == first
    assert "using the release list of" in caplog.text


def test_nobody_there_is_unavailable(tmp_path: Path, index: Index) -> None:
    del index
    with pytest.raises(IndexUnavailable, match="cannot be reached"):
        versions(PackageIndex(tmp_path, DAY, "http://127.0.0.1:9/simple"))


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b'{"files": [1]}', b'{"files": [{"filename": "a", "upload-time": "x"}]}']
)
def test_a_page_that_cannot_be_read_is_unavailable(tmp_path: Path, index: Index, body: bytes) -> None:
    index.body = body
    with pytest.raises(IndexUnavailable, match="cannot be read"):
        versions(PackageIndex(tmp_path, DAY, index.url))


def test_credentials_are_not_shown(tmp_path: Path, index: Index) -> None:
    index.statuses = [403]
    with pytest.raises(IndexUnavailable) as caught:
        versions(PackageIndex(tmp_path, DAY, index.url.replace("//", "//me:secret@")))
    assert "secret" not in str(caught.value)
    assert not any("secret" in path.read_text() for path in tmp_path.iterdir())


def test_an_html_page_has_no_dates(tmp_path: Path, index: Index) -> None:
    index.content_type = "text/html"
    index.body = (
        b'<!DOCTYPE html><a href="../x/some_package-1.0-py3-none-any.whl#sha256=0">w</a>'
        b'<a href="some_package-2.0-py3-none-any.whl" data-yanked="bad">w</a><a>no link</a>'
    )
    known = PackageIndex(tmp_path, DAY, index.url)
    assert versions(known) == ["1.0"]
    assert versions(known, date(2026, 1, 1)) == []


def test_an_unknown_package_has_no_releases(tmp_path: Path, index: Index) -> None:
    assert PackageIndex(tmp_path, DAY, index.url).versions("nothing", None) == []


def test_a_folder_of_wheels_is_read_each_time_and_has_no_dates(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "some_package-1.0-py3-none-any.whl").touch()
    (wheels / "readme.txt").touch()
    assert versions(PackageIndex(tmp_path, DAY, str(wheels)), date(2020, 1, 1)) == ["1.0"]
    (wheels / "some_package-1.1-py3-none-any.whl").touch()
    assert versions(PackageIndex(tmp_path, DAY, wheels.as_uri())) == ["1.0", "1.1"]


def test_a_folder_laid_out_as_an_index(tmp_path: Path) -> None:
    page = tmp_path / "simple" / "some-package"
    page.mkdir(parents=True)
    (page / "index.html").write_text('<a href="some_package-1.0-py3-none-any.whl">w</a>')
    known = PackageIndex(tmp_path, DAY, (tmp_path / "simple").as_uri())
    assert versions(known) == ["1.0"]
    assert known.versions("nothing", None) == []


def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable, match="is not a folder"):
        versions(PackageIndex(tmp_path, DAY, str(tmp_path / "nowhere")))


def test_the_index_is_the_one_uv_is_configured_for(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "some_package-3.0-py3-none-any.whl").touch()
    config = tmp_path / "uv.toml"
    config.write_text(f'find-links = ["{wheels}"]\n[[index]]\nurl = "{index.url}"\ndefault = true\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(config))
    assert versions(PackageIndex(tmp_path, DAY)) == ["1.0.0", "1.10.0", "2.0.0rc1", "2.0.0", "3.0"]
    assert versions(PackageIndex(tmp_path, DAY), date(2025, 1, 1)) == ["1.0.0", "3.0"]
    assert index.asked == ["/simple/some-package/"]


def test_a_changed_configuration_of_uv_is_another_answer(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    versions(PackageIndex(tmp_path, DAY))
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url + "/elsewhere")
    assert versions(PackageIndex(tmp_path, DAY)) == []
    assert len(index.asked) == 2


def test_offline_means_offline(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(IndexUnavailable, match="UV_OFFLINE"):
        versions(PackageIndex(tmp_path, DAY))
    assert index.asked == []


def test_a_broken_configuration_of_uv_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "uv.toml"
    config.write_text("index = 3\n")
    monkeypatch.setenv("UV_CONFIG_FILE", str(config))
    with pytest.raises(IndexUnavailable, match="uv does not tell which package index it uses"):
        versions(PackageIndex(tmp_path, DAY))


def test_a_second_index_is_asked_only_for_what_the_first_does_not_have(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    further = tmp_path / "further" / "some-package"
    further.mkdir(parents=True)
    (further / "index.html").write_text('<a href="some_package-9.0-py3-none-any.whl">w</a>')
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    monkeypatch.setenv("UV_INDEX", further.parent.as_uri())
    assert versions(PackageIndex(tmp_path / "a", DAY)) == ["9.0"]
    assert index.asked == []
    monkeypatch.setenv("UV_INDEX_STRATEGY", "unsafe-best-match")
    assert versions(PackageIndex(tmp_path / "b", DAY)) == ["1.0.0", "1.10.0", "2.0.0rc1", "2.0.0", "9.0"]


def test_files_beside_an_index_are_fetched_with_its_credentials(tmp_path: Path, index: Index) -> None:
    with PackageIndex(tmp_path, DAY, index.url.replace("//", "//me:s%40cret@")) as known:
        known.versions("some-package")
        address = index.url.replace("/simple", "/files/x.whl")
        with pytest.raises(IndexUnavailable, match=r"does not have /files/x\.whl"):
            known.downloads.part(address, 0, 9)
    login = base64.b64encode(b"me:s@cret").decode()
    assert index.logins == [f"Basic {login}"] * 2


def test_a_login_of_netrc_is_used(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    versions(PackageIndex(tmp_path, DAY, index.url))
    assert index.logins == [f"Basic {base64.b64encode(b'me:secret').decode()}"]


def test_the_files_of_a_release_are_kept_whole(tmp_path: Path, index: Index) -> None:
    first = PackageIndex(tmp_path, DAY, index.url).files("some-package", Version("1.0.0"))
    assert [each.filename for each in first] == ["some_package-1.0.0-py3-none-any.whl", "some_package-1.0.0.tar.gz"]
    assert first[0].tags == {"py3-none-any"}
    assert PackageIndex(tmp_path, DAY, index.url).files("some-package", Version("1.0.0")) == first
    assert len(index.asked) == 1


def test_an_index_of_pips_is_used_where_uv_has_none(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nindex-url = {index.url}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    assert versions(PackageIndex(tmp_path, DAY))[0] == "1.0.0"
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "some_package-3.0-py3-none-any.whl").touch()
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    assert versions(PackageIndex(tmp_path, DAY))[-1] == "3.0"
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/other")
    assert versions(PackageIndex(tmp_path, DAY)) == []


def test_a_login_for_a_named_index_is_taken_from_its_variables(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX_MY_INDEX_USERNAME", "me")
    monkeypatch.setenv("UV_INDEX_MY_INDEX_PASSWORD", "s@cret")
    monkeypatch.setenv("UV_INDEX", f"my-index={index.url}")
    assert versions(PackageIndex(tmp_path / "a", DAY))
    monkeypatch.delenv("UV_INDEX")
    config = tmp_path / "uv.toml"
    config.write_text(f'[[index]]\nname = "my-index"\nurl = "{index.url}"\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(config))
    assert versions(PackageIndex(tmp_path / "b", DAY))
    assert index.logins == [f"Basic {base64.b64encode(b'me:s@cret').decode()}"] * 2
