//! The parts of forms.

use maud::{Markup, html};

/// A field for a line of text.
pub(crate) fn text(name: &str, label: &str, value: &str, hint: &str) -> Markup {
    html! {
        label { span { (label) } input type="text" name=(name) value=(value) placeholder=(hint) autocomplete="off"; }
    }
}

/// A choice of one of several words. The empty one stands for any.
pub(crate) fn choice(name: &str, label: &str, value: &str, any: &str, words: &[&str]) -> Markup {
    html! {
        label {
            span { (label) }
            select name=(name) {
                option value="" selected[value.is_empty()] { (any) }
                @for word in words {
                    option value=(word) selected[*word == value] { (word) }
                }
            }
        }
    }
}

/// A choice of any of several words.
pub(crate) fn choices(name: &str, label: &str, values: &[String], words: &[&str]) -> Markup {
    html! {
        fieldset {
            legend { (label) }
            @for word in words {
                label.check {
                    input type="checkbox" name=(name) value=(word) checked[values.iter().any(|it| it == word)];
                    " " (word)
                }
            }
        }
    }
}

/// The errors of a form's fields.
pub(crate) fn errors(errors: &[String]) -> Markup {
    html! {
        @if !errors.is_empty() {
            div.notice.bad role="alert" { ul { @for error in errors { li { (error) } } } }
        }
    }
}
