//! Lists that come in pages.

use serde_json::{Value, json};

use crate::call::Call;

/// One item of a list and the key it is sorted by.
pub(crate) type Keyed = (String, Value);

/// One page of a list, as Key Vault and Resource Manager both answer it. A page begins behind the last key of the one
/// before, so that items that come and go in between do not move the others.
pub(crate) fn page(call: &Call, mut items: Vec<Keyed>, size: usize) -> Value {
    items.sort_by(|(one, _), (other, _)| one.cmp(other));
    if let Some(last) = call.query.get(SKIP_TOKEN) {
        items.retain(|(key, _)| key.as_str() > last);
    }
    let more = items.len() > size;
    items.truncate(size);
    let next = items
        .last()
        .filter(|_| more)
        .map(|(key, _)| next_link(call, key));
    let values: Vec<Value> = items.into_iter().map(|(_, value)| value).collect();
    json!({ "value": values, "nextLink": next })
}

/// Both services call it that. Clients must take the link as it is.
const SKIP_TOKEN: &str = "$skiptoken";

fn next_link(call: &Call, last_key: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in call
        .query
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case(SKIP_TOKEN))
    {
        query.append_pair(name, value);
    }
    query.append_pair(SKIP_TOKEN, last_key);
    format!("{}{}?{}", call.origin(), call.path, query.finish())
}
