//! Facts that Azure sets in the environment of the process.

use std::collections::BTreeMap;

use keyrelay_azure::Identity;

/// Returns the identities to use, from the variables of App Service, Container Apps and the workload
/// identity of Kubernetes: the first one, and further ones that apps are spread over. Outside of Azure
/// there is one, the developer's.
pub fn identities(
    client_ids: &[String],
    environment: &BTreeMap<String, String>,
) -> (Identity, Vec<Identity>) {
    let of = |client_id: Option<&String>| {
        let client_id = client_id.cloned();
        match environment.get("AZURE_FEDERATED_TOKEN_FILE") {
            _ if environment.contains_key("IDENTITY_ENDPOINT") => Identity::Managed { client_id },
            Some(file) => Identity::Workload {
                client_id,
                token_file: file.into(),
            },
            None => Identity::Developer,
        }
    };
    let first = of(client_ids.first());
    let others = client_ids.iter().skip(1).map(|id| of(Some(id)));
    let others = others.filter(|it| *it != Identity::Developer).collect();
    (first, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), "value".to_owned())])
    }

    fn managed(client_id: Option<&str>) -> Identity {
        Identity::Managed {
            client_id: client_id.map(str::to_owned),
        }
    }

    #[test]
    fn each_client_id_is_an_identity_in_azure() {
        let ids = ["a", "b", "c"].map(str::to_owned);
        let in_azure = environment("IDENTITY_ENDPOINT");
        let expected = (
            managed(Some("a")),
            vec![managed(Some("b")), managed(Some("c"))],
        );
        assert_eq!(identities(&ids, &in_azure), expected);
        assert_eq!(identities(&[], &in_azure), (managed(None), Vec::new()));
        let (first, others) = identities(&ids, &environment("AZURE_FEDERATED_TOKEN_FILE"));
        assert!(matches!(first, Identity::Workload { client_id: Some(id), .. } if id == "a"));
        assert_eq!(others.len(), 2);
    }

    #[test]
    fn there_is_one_developer() {
        let ids = ["a", "b"].map(str::to_owned);
        let expected = (Identity::Developer, Vec::new());
        assert_eq!(identities(&ids, &environment("HOME")), expected);
    }
}
