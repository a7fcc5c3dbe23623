from pathlib import Path

import pytest
from seqway import GlossaryEntry, read_glossary


def test_tabs_part_terms(tmp_path: Path) -> None:
    file = tmp_path / "terms.tsv"
    file.write_bytes("\ufeffeditor\téditeur de texte\r\n\r\n C, and D \t C et D\n".encode())
    assert read_glossary(file) == (
        GlossaryEntry("editor", "éditeur de texte"),
        GlossaryEntry("C, and D", "C et D"),
    )


def test_commas_part_terms_of_a_csv_file(tmp_path: Path) -> None:
    file = tmp_path / "terms.CSV"
    file.write_text('"a, b","c ""d"""\nlib,bibliothèque\n')
    assert read_glossary(str(file), case_sensitive=True) == (
        GlossaryEntry("a, b", 'c "d"', case_sensitive=True),
        GlossaryEntry("lib", "bibliothèque", case_sensitive=True),
    )


def test_an_empty_file_holds_no_terms(tmp_path: Path) -> None:
    file = tmp_path / "terms.tsv"
    file.write_text("")
    assert read_glossary(file) == ()


@pytest.mark.parametrize("line", ["a", "a\tb\tc", "a\t ", "\tb", "a b"])
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "terms.tsv"
    file.write_text(f"x\ty\n{line}\n")
    with pytest.raises(
        ValueError, match=r"terms\.tsv, line 2: expected a term and its translation"
    ):
        read_glossary(file)
