//! Lines of CSV, as RFC 4180 has them, that no spreadsheet takes for formulas.

/// One line. Every cell is quoted.
pub fn line(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|text| cell(&text)).collect();
    format!("{}\r\n", cells.join(","))
}

/// A quoted cell. One that a spreadsheet would evaluate begins with an apostrophe.
fn cell(text: &str) -> String {
    let is_formula = text
        .trim_start_matches([' ', '\u{a0}', '\u{feff}'])
        .starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let guard = if is_formula { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(line([text.to_owned()]), format!("{expected}\r\n"));
    }

    #[test]
    fn cells_are_quoted() {
        check("", "\"\"");
        check("a,b", "\"a,b\"");
        check("say \"no\"\nnow", "\"say \"\"no\"\"\nnow\"");
        assert_eq!(line(["a".to_owned(), "b".to_owned()]), "\"a\",\"b\"\r\n");
    }

    #[test]
    fn no_cell_is_a_formula() {
        for text in [
            "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1",
        ] {
            check(text, &format!("\"'{text}\""));
        }
        check("a=1", "\"a=1\"");
    }
}
