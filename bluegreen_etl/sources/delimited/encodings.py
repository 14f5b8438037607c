"""Map PostgreSQL's names of encodings to Python's codecs."""

from bluegreen_etl import errors

# PostgreSQL compares letters and digits only, in lower case. EUC_TW and MULE_INTERNAL have no codec.
_CODECS = {
    "utf8": "utf-8",
    "unicode": "utf-8",
    "sqlascii": "ascii",
    **{f"latin{n}": f"latin{n}" for n in range(1, 11)},
    **{f"iso8859{n}": f"iso8859_{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16)},
    **{f"win{n}": f"cp{n}" for n in (866, 874, 932, 949, 950, *range(1250, 1259))},
    **{f"windows{n}": f"cp{n}" for n in (866, 874, 932, 949, 950, *range(1250, 1259))},
    "koi8": "koi8_r",
    "koi8r": "koi8_r",
    "koi8u": "koi8_u",
    "eucjp": "euc_jp",
    "eucjis2004": "euc_jis_2004",
    "euckr": "euc_kr",
    "euccn": "gb2312",
    "sjis": "cp932",
    "shiftjis": "cp932",
    "mskanji": "cp932",
    "shiftjis2004": "shift_jis_2004",
    "uhc": "cp949",
    "johab": "johab",
    "big5": "cp950",
    "gbk": "gbk",
    "gb18030": "gb18030",
}


def codec(encoding: str) -> str:
    """Return Python's codec for PostgreSQL's name of an encoding.

    Raises:
        UsageError: PostgreSQL or Python does not support the encoding.
    """
    plain = "".join(letter for letter in encoding.lower() if letter.isalnum())
    try:
        return _CODECS[plain]
    except KeyError:
        raise errors.BadConfiguration(
            f'unknown encoding "{encoding}"',
            hint="Use one of PostgreSQL's names, such as UTF8, LATIN1, WIN1252 or SJIS.",
        ) from None
