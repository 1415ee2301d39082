//! The filter on requests that faults and interceptions share.

/// Whether a request has this method and this text in its path, both compared case-insensitively.
/// `None` matches any.
pub(crate) fn matches(
    wanted_method: Option<&str>,
    wanted_part: Option<&str>,
    method: &str,
    path: &str,
) -> bool {
    wanted_method.is_none_or(|it| it.eq_ignore_ascii_case(method))
        && wanted_part.is_none_or(|it| has_part(&path.to_lowercase(), &it.to_lowercase()))
}

/// Whether a path contains a part, or ends with it if the part ends with `$`.
fn has_part(path: &str, part: &str) -> bool {
    match part.strip_suffix('$') {
        Some(end) => path.ends_with(end),
        None => path.contains(part),
    }
}
