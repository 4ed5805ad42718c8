"""What all pages share: their templates, and pictures inside the page."""

import base64
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from anemia_lightning.files.run_folder import write_bytes

NOTICE = "Screening aid for research, not a medical device and not a diagnosis"


def write_page(path: Path, template: str, **content: object) -> None:
    """Renders a page; whoever opens it finds the old one or the new one, never a part.

    Args:
        path: The HTML file.
        template: Its template, which extends page.html.j2.
        content: What the template asks for; every text in it is taken literally.
    """
    environment = Environment(
        loader=PackageLoader("anemia_lightning.report", package_path=""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(notice=NOTICE, data_uri=data_uri)
    page = environment.get_template(template).render(**content)
    # A file name that is not UTF-8 reaches us with letters that UTF-8 cannot write.
    write_bytes(path, page.encode("utf-8", errors="backslashreplace"))


def data_uri(image: bytes, kind: str) -> str:
    """Returns a picture as an address that holds the picture itself.

    Args:
        image: The file's bytes.
        kind: png or jpeg.
    """
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"
