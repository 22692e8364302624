"""Files of other kinds than Markdown, made of a few words: Word, PDF with and without a password."""

import hashlib
import io
import struct
import zipfile
import zlib

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
CONTENT_TYPES = """<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml"
ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>"""
RELATIONS = """<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
Target="word/document.xml"/></Relationships>"""
STYLES = f"""<?xml version="1.0"?><w:styles xmlns:w="{WORD}"><w:style w:type="paragraph" w:styleId="H1"><w:name
w:val="heading 1"/></w:style><w:style w:type="paragraph" w:styleId="T"><w:name w:val="Title"/></w:style></w:styles>"""
DOCUMENT_RELATIONS = """<?xml version="1.0"?><Relationships
xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Target="styles.xml"
Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles"/></Relationships>"""


def paragraph(text: str, style: str = "") -> str:
    kind = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{kind}<w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def table(*rows: tuple[str, ...]) -> str:
    cells = "".join(f"<w:tr>{''.join(f'<w:tc>{paragraph(cell)}</w:tc>' for cell in row)}</w:tr>" for row in rows)
    return f"<w:tbl>{cells}</w:tbl>"


def docx(*blocks: str, title: str = "", **others: bytes) -> bytes:
    """A Word document of `paragraph` and `table` blocks; `others` are more of its parts."""
    body = f'<?xml version="1.0"?><w:document xmlns:w="{WORD}"><w:body>{"".join(blocks)}</w:body></w:document>'
    core = f"""<?xml version="1.0"?><cp:coreProperties xmlns:dc="http://purl.org/dc/elements/1.1/"
xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties"><dc:title>{title}</dc:title></cp:coreProperties>"""
    parts = {
        "[Content_Types].xml": CONTENT_TYPES,
        "_rels/.rels": RELATIONS,
        "word/document.xml": body,
        "word/styles.xml": STYLES,
        "word/_rels/document.xml.rels": DOCUMENT_RELATIONS,
        "docProps/core.xml": core,
        **others,
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in parts.items():
            zipped.writestr(name, content)
    return file.getvalue()


def text_stream(lines: list[tuple[str, int] | str]) -> bytes:
    """Lines of a page from the top, each a text or a text and the size of its letters; an empty one is a gap."""
    said, height = [], 740
    for line in lines:
        text, size = line if isinstance(line, tuple) else (line, 11)
        escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        if text:
            said.append(f"BT /F1 {size} Tf 72 {height} Td ({escaped}) Tj ET")
        height -= size + 3
    return "\n".join(said).encode("cp1252")


def pdf(*pages: list[tuple[str, int] | str] | bytes, title: str = "", password: str = "") -> bytes:
    """A PDF of pages of lines, or of content streams as they are; with a password it is locked (RC4, 40 bits)."""
    objects = [
        "",
        "<< /Type /Catalog /Pages 2 0 R >>",
        "",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    streams: dict[int, bytes] = {}
    kids = []
    for page in pages:
        stream = zlib.compress(page if isinstance(page, bytes) else text_stream(page), 9)
        number = len(objects)
        streams[number] = stream
        objects.append(f"<< /Length {len(stream)} /Filter /FlateDecode >>")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents {number} 0 R >>"
        )
        kids.append(f"{number + 1} 0 R")
    objects[2] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    objects.append(f"<< /Title ({title}) >>")
    trailer = f"/Root 1 0 R /Info {len(objects) - 1} 0 R"
    if password:
        identity = bytes(range(16))
        owner, user = _locks(password, identity)
        objects.append(f"<< /Filter /Standard /V 1 /R 2 /P -4 /O <{owner.hex()}> /U <{user.hex()}> >>")
        trailer += f" /Encrypt {len(objects) - 1} 0 R /ID [<{identity.hex()}> <{identity.hex()}>]"
    file = io.BytesIO(b"%PDF-1.4\n")
    file.seek(0, io.SEEK_END)
    places = []
    for number, content in enumerate(objects[1:], 1):
        places.append(file.tell())
        file.write(f"{number} 0 obj\n{content}\n".encode("latin-1"))
        if number in streams:
            file.write(b"stream\n" + streams[number] + b"\nendstream\n")
        file.write(b"endobj\n")
    start = file.tell()
    file.write(f"xref\n0 {len(objects)}\n0000000000 65535 f \n".encode())
    file.write(b"".join(f"{place:010} 00000 n \n".encode() for place in places))
    file.write(f"trailer << /Size {len(objects)} {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode())
    return file.getvalue()


_PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def _locks(password: str, identity: bytes) -> tuple[bytes, bytes]:
    """The /O and /U of the standard security handler, revision 2 (PDF 32000-1:2008, 7.6.3)."""
    padded = (password.encode() + _PADDING)[:32]
    owner = _rc4(hashlib.md5(padded).digest()[:5], padded)
    key = hashlib.md5(padded + owner + struct.pack("<i", -4) + identity).digest()[:5]
    return owner, _rc4(key, _PADDING)


def _rc4(key: bytes, data: bytes) -> bytes:
    state, j, out = list(range(256)), 0, bytearray()
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
