//! Paged lists.

use serde_json::{Value, json};

use crate::call::ServiceCall;
use crate::fault::Effect;

/// An item of a list with its sort key.
pub(crate) type Keyed = (String, Value);

/// One page of a list, in the form of both Key Vault and Resource Manager. A page begins after the
/// last key of the previous one, so items added or removed meanwhile do not shift the others. A
/// fault can end the list early.
pub(crate) fn page(call: &ServiceCall, mut items: Vec<Keyed>, size: usize) -> Value {
    items.sort_by(|(one, _), (other, _)| one.cmp(other));
    if let Some(last) = call.query.get(SKIP_TOKEN) {
        items.retain(|(key, _)| key.as_str() > last);
    }
    let keep = call.effects.iter().find_map(|effect| match effect {
        Effect::PartialList { keep } => Some(*keep),
        _ => None,
    });
    let more = items.len() > size && keep.is_none();
    items.truncate(keep.unwrap_or(size).min(size));
    let next = items
        .last()
        .filter(|_| more)
        .map(|(key, _)| next_link(call, key));
    let values: Vec<Value> = items.into_iter().map(|(_, value)| value).collect();
    json!({ "value": values, "nextLink": next })
}

/// The parameter of the next page in both services. Clients must use the link unchanged.
const SKIP_TOKEN: &str = "$skiptoken";

fn next_link(call: &ServiceCall, last_key: &str) -> String {
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
