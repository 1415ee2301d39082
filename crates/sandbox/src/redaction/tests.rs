//! Attacks on the redaction, and its laws.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

fn revealing(values: &[&str]) -> Redaction {
    let setting = |(number, value): (usize, &&str)| VisibleSetting {
        name: SettingName::listed(format!("S{number}")),
        value: VisibleValue::Text(SettingValue::new(*value)),
    };
    let settings: Vec<VisibleSetting> = values.iter().enumerate().map(setting).collect();
    Redaction::of(&settings)
}

fn check(value: &str, text: &str, expected: &str) {
    assert_eq!(revealing(&[value]).printable(text), expected, "{text}");
}

#[test]
fn a_long_value_is_redacted_before_the_cut() {
    let value: String = (0..450).map(|number| format!("{number:04}")).collect();
    check(&value, &value, HIDDEN);
    let text = format!("{}{value}", "x".repeat(990));
    check(&value, &text, &format!("{}{HIDDEN}", "x".repeat(990)));
    let longer = "x".repeat(997);
    check(
        &value,
        &format!("{longer}{value}"),
        &format!("{longer}[hi…"),
    );
}

#[test]
fn the_end_of_a_text_that_is_too_long_shows_no_start_of_a_value() {
    let value = format!("start-{}", "s".repeat(40 << 10));
    let other = "other-value ".repeat(1_000);
    for start in ["", "a ", &other] {
        let shown = revealing(&[&value, "other-value"]).printable(&format!("{start}{value}"));
        assert!(!shown.contains("sta") && shown.ends_with('…'), "{shown}");
    }
}

#[test]
fn values_that_contain_each_other_are_hidden_as_a_whole() {
    let connection = "Server=sql-prod.example;Password=hunter2";
    let redaction = revealing(&["prod", connection, "prod.example;Pass"]);
    assert_eq!(redaction.printable(connection), HIDDEN);
    assert_eq!(redaction.printable("in prod"), "in [hidden]");
    let overlapping = revealing(&["abcdef", "defghi"]);
    assert_eq!(overlapping.printable("xabcdefghix"), "x[hidden]x");
    assert_eq!(revealing(&["abab"]).printable("xabababx"), "x[hidden]x");
}

#[test]
fn control_characters_do_not_hide_a_value() {
    let value = "Password=\thunter2";
    for text in [
        value,
        "Password= hunter2",
        "Password=\n\r hunter2",
        "Pass\u{202e}word=\u{85}hunter2",
    ] {
        let shown = revealing(&[value]).printable(text);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    check("ab\u{200b}cd", "abcd", HIDDEN);
}

#[test]
fn every_form_is_redacted() {
    for value in [
        "a\"b\\c\t/é\u{1f980}%41",
        "plain-value?>~\u{ff}\u{fe}",
        "C:\\new\\table",
        "50%25+x y",
        "1433",
    ] {
        for (kind, form) in forms_of(value) {
            let shown = revealing(&[value]).printable(&format!("= {form} ="));
            assert!(shown.starts_with("= [hidden]"), "{kind}: {form}: {shown}");
            assert!(
                !shown.contains(value) && shown.len() < 24,
                "{kind}: {form}: {shown}"
            );
        }
    }
}

fn forms_of(value: &str) -> Vec<(&'static str, String)> {
    let percent = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    let json = serde_json::to_string(value).unwrap();
    let json = json[1..json.len() - 1].to_owned();
    let utf16 = |c: char| {
        let units = c.encode_utf16(&mut [0; 2]).to_vec();
        units
            .iter()
            .map(|unit| format!("\\u{unit:04X}"))
            .collect::<String>()
    };
    vec![
        ("plain", value.to_owned()),
        ("debug", value.escape_debug().to_string()),
        (
            "debug of debug",
            value.escape_debug().to_string().escape_debug().to_string(),
        ),
        ("ascii", value.escape_default().to_string()),
        ("unicode", value.escape_unicode().to_string()),
        ("utf-16", value.chars().map(utf16).collect()),
        ("json", json.clone()),
        ("json in debug", json.escape_debug().to_string()),
        ("json with slashes", json.replace('/', "\\/")),
        ("percent", percent.clone()),
        ("percent, lower case", lower_digits(&percent)),
        ("percent twice", percent.replace('%', "%25")),
        ("form", percent.replace("%20", "+")),
        (
            "json in percent",
            utf8_percent_encode(&json, NON_ALPHANUMERIC).to_string(),
        ),
        ("base64", STANDARD.encode(value)),
        ("base64 without padding", STANDARD_NO_PAD.encode(value)),
        ("base64 for urls", URL_SAFE.encode(value)),
        (
            "base64 for urls without padding",
            URL_SAFE_NO_PAD.encode(value),
        ),
        (
            "base64 in percent",
            utf8_percent_encode(&STANDARD.encode(value), NON_ALPHANUMERIC).to_string(),
        ),
    ]
}

/// Percent-encoding with digits in lower case.
fn lower_digits(percent: &str) -> String {
    let mut parts = percent.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    let lower = |part: &str| {
        let (digits, rest) = part.split_at(2);
        format!("%{}{rest}", digits.to_lowercase())
    };
    first + &parts.map(lower).collect::<String>()
}

#[test]
fn base64_is_found_at_each_alignment_and_across_lines() {
    let value = "hunter2-and-more?>~";
    for around in ["", "a", "ab", "abc", "abcd"] {
        for engine in [STANDARD, URL_SAFE] {
            let encoded = engine.encode(format!("{around}{value}{around}"));
            let shown = revealing(&[value]).printable(&encoded);
            // At most the characters of the text around it are left.
            assert!(
                shown.contains(HIDDEN) && shown.len() <= HIDDEN.len() + 12,
                "{encoded}: {shown}"
            );
            let wrapped = encoded.split_at(9);
            let wrapped = format!("{}\r\n{}", wrapped.0, wrapped.1);
            let shown = revealing(&[value]).printable(&wrapped);
            assert!(shown.len() <= 2 * HIDDEN.len() + 14, "{wrapped:?}: {shown}");
        }
    }
}

#[test]
fn a_value_of_several_lines_is_redacted_line_by_line() {
    let key = "-----BEGIN KEY-----\r\nMIIEvQIBADAN\r\n  BgkqhkiG9w0B\nab\n-----END KEY-----\n";
    let redaction = revealing(&[key]);
    assert_eq!(redaction.redact("key: BgkqhkiG9w0B."), "key: [hidden].");
    assert_eq!(
        redaction.redact(key),
        "[hidden]\n[hidden]\n[hidden]\n[hidden]\n[hidden]\n"
    );
    assert_eq!(
        redaction.redact(&key.escape_debug().to_string()),
        "[hidden]\\n"
    );
    assert_eq!(redaction.redact("ab"), "ab");
}

#[test]
fn short_and_empty_values_are_not_redactable() {
    for short in [
        "",
        "abc",
        " abc\n",
        "\t\t\t\t\t",
        "a\u{200b}\u{200b}b",
        "ab \n\n c",
    ] {
        let is_short = !is_redactable(&SettingValue::new(short));
        assert_eq!(is_short, short != "ab \n\n c", "{short:?}");
    }
    for long in ["abcd", "ééé", "1433"] {
        assert!(is_redactable(&SettingValue::new(long)), "{long:?}");
    }
    check("abc", "abc", "abc");
}

#[test]
fn a_name_with_a_value_tells_its_setting() {
    let redaction = revealing(&["other-value", "hunter2"]);
    for name in ["hunter2", "x-hunter2.y", &STANDARD_NO_PAD.encode("hunter2")] {
        let setting = redaction.revealed_in(name).map(SettingName::as_str);
        assert_eq!(setting, Some("S1"), "{name}");
    }
    assert_eq!(redaction.revealed_in("hunter"), None);
    assert_eq!(Redaction::none().revealed_in("hunter2"), None);
}

#[test]
fn what_cannot_be_searched_for_hides_everything() {
    let unsearchable = Redaction {
        search: None,
        ..revealing(&["hunter2"])
    };
    assert_eq!(unsearchable.printable("a\nb"), "[hidden] [hidden]");
    assert!(unsearchable.revealed_in("a").is_some());
}

#[test]
fn a_text_without_values_is_cut_and_on_one_line() {
    let text = Redaction::none().printable(&"é".repeat(2 * TEXT_LENGTH));
    assert_eq!(text.chars().count(), TEXT_LENGTH + 1);
    assert!(text.ends_with("é…"));
    check("value", "a\nb\u{1b}c ", "a b c");
    check(
        "value",
        "100 % \\ \\u{ \\x \\u12 %4 %",
        "100 % \\ \\u{ \\x \\u12 %4 %",
    );
}

fn value() -> impl Strategy<Value = String> {
    let any = proptest::collection::vec(any::<char>(), 4..40).prop_map(String::from_iter);
    let tricky = proptest::collection::vec(
        proptest::sample::select("ab%4\\\"'\n\t u{}x0+/=é".chars().collect::<Vec<char>>()),
        4..20,
    );
    prop_oneof![any, tricky.prop_map(String::from_iter)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No revealed value is in what is shown, in any of its forms and in any text around it.
    #[test]
    fn no_value_leaves_in_any_form(values in proptest::collection::vec(value(), 1..4),
                                   before in ".{0,20}", after in ".{0,20}") {
        let redactable = |value: &&String| is_redactable(&SettingValue::new(value.as_str()));
        let values: Vec<&str> = values.iter().filter(redactable).map(String::as_str).collect();
        let redaction = revealing(&values);
        for value in &values {
            for (kind, form) in forms_of(value.trim()) {
                let shown = redaction.printable(&format!("{before} {form} {after}"));
                prop_assert!(shown.contains(HIDDEN), "{}: {:?}: {:?}", kind, form, shown);
                for value in &values {
                    let line = log_line(value.trim());
                    prop_assert!(line.len() < SHORTEST || HIDDEN.contains(&line) || !shown.contains(&line), "{}: {:?}: {:?}", kind, form, shown);
                }
            }
        }
    }

    /// No cut of a text that ends within a value shows more than three bytes of it.
    #[test]
    fn no_cut_shows_the_start_of_a_value(value in "[a-z0-9é%\\\\\t]{8,40}", cut in 0_usize..300) {
        prop_assume!(is_redactable(&SettingValue::new(value.as_str())));
        let redaction = revealing(&[&value]);
        for (kind, form) in forms_of(value.trim()).into_iter().take(14) {
            let text = format!("= {form}");
            let text = &text[..text.floor_char_boundary(cut)];
            let shown = redaction.redact_start(text);
            let rest = shown.strip_prefix("=").unwrap_or(&shown).replace(HIDDEN, "");
            prop_assert!(rest.trim().len() <= 3, "{}: {:?}: {:?}", kind, text, shown);
        }
    }

    /// A text without a value stays as it is.
    #[test]
    fn other_texts_stay(text in "[a-z %\\\\\n.]{0,200}") {
        prop_assert_eq!(revealing(&["VALUE-1", "9999"]).redact(&text), text);
    }
}
