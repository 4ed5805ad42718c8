"""What all pages share: strict templates, texts taken literally, pictures inside."""

import base64
from pathlib import Path

import pytest
from jinja2 import DictLoader, UndefinedError

from anemia_lightning.report import page
from anemia_lightning.report.page import NOTICE, data_uri, write_page


def use(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PackageLoader", lambda *_, **__: DictLoader({"page": template}))


def test_a_misspelt_name_in_the_template_is_not_printed_as_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use("{{ titel }}", monkeypatch)
    with pytest.raises(UndefinedError, match="titel"):
        write_page(tmp_path / "page.html", "page", title="x")
    assert list(tmp_path.iterdir()) == []


def test_texts_are_escaped_and_what_is_not_utf8_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use("{{ text }} {{ notice }}", monkeypatch)
    write_page(tmp_path / "page.html", "page", text="<b>\udcff")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == f"&lt;b&gt;\\udcff {NOTICE}"


def test_a_picture_is_its_own_address() -> None:
    kind, _, data = data_uri(b"\xff\xd8", "jpeg").partition(",")
    assert kind == "data:image/jpeg;base64"
    assert base64.b64decode(data) == b"\xff\xd8"
