use std::collections::BTreeMap;

use keyrelay_local_azure::{CloudError, Hidden};
use tokio::sync::oneshot;

use super::{ORDERS, Stand};

fn value(stand: &Stand, setting: &str) -> Option<String> {
    stand
        .cloud
        .settings("orders")
        .unwrap()
        .get(setting)
        .map(|value| value.expose().to_owned())
}

#[tokio::test]
async fn setting_and_removing_one_setting_keeps_the_others() {
    let stand = Stand::start().await;
    let writer = stand.cloud.writer("pipeline");
    let before = stand.cloud.settings("orders").unwrap();
    writer.set("orders", "NEW", "value").unwrap();
    assert_eq!(value(&stand, "NEW").as_deref(), Some("value"));
    writer.remove("orders", "NEW").unwrap();
    writer.remove("orders", "NEVER_THERE").unwrap();
    assert_eq!(stand.cloud.settings("orders").unwrap(), before);
}

#[tokio::test]
async fn no_concurrent_write_is_lost() {
    let stand = Stand::start().await;
    let writes = (0..8).map(|number| {
        let writer = stand.cloud.writer(&format!("writer-{number}"));
        tokio::task::spawn_blocking(move || {
            for round in 0..50 {
                writer
                    .set("orders", &format!("S_{number}_{round}"), "x")
                    .unwrap();
            }
        })
    });
    futures::future::try_join_all(writes).await.unwrap();
    assert_eq!(stand.cloud.settings("orders").unwrap().len(), 2 + 8 * 50);
}

#[tokio::test]
async fn a_rewrite_loses_concurrent_writes() {
    let stand = Stand::start().await;
    let (script, other) = (stand.cloud.writer("script"), stand.cloud.writer("other"));
    let (go_on, paused) = oneshot::channel();
    let rewrite = script.rewrite("orders", async { paused.await.unwrap() }, |settings| {
        settings.insert("BUILD".into(), "7".into());
    });
    let meanwhile = async {
        other.set("orders", "PLAIN", "theirs").unwrap();
        other.set("orders", "LOST", "x").unwrap();
        go_on.send(()).unwrap();
    };
    tokio::join!(async { rewrite.await.unwrap() }, meanwhile);
    assert_eq!(
        ["PLAIN", "LOST", "BUILD"].map(|it| value(&stand, it)),
        [Some("text".into()), None, Some("7".into())]
    );
}

#[tokio::test]
async fn the_writer_appears_in_the_requests() {
    let stand = Stand::start().await;
    stand
        .cloud
        .writer("pipeline")
        .set("orders", "PLAIN", "theirs")
        .unwrap();
    stand
        .cloud
        .writer("script")
        .rewrite(ORDERS, std::future::ready(()), BTreeMap::clear)
        .await
        .unwrap();
    let seen = stand.cloud.requests();
    let seen = seen.iter().map(|it| {
        (
            it.caller.as_deref().unwrap(),
            it.method.as_str(),
            it.path.as_str(),
            it.status,
        )
    });
    let settings = format!("{ORDERS}/config/appsettings");
    let list = format!("{settings}/list");
    let expected = [
        ("pipeline", "PUT", settings.as_str(), Some(200)),
        ("script", "POST", list.as_str(), Some(200)),
        ("script", "PUT", settings.as_str(), Some(200)),
    ];
    assert!(seen.eq(expected));
}

#[tokio::test]
async fn a_write_resolves_the_references() {
    let stand = Stand::start().await;
    let reference = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)";
    stand
        .cloud
        .writer("pipeline")
        .set("orders", "OTHER", Hidden::from(reference))
        .unwrap();
    assert_eq!(stand.row(ORDERS, "OTHER").await["status"], "Resolved");
}

#[tokio::test]
async fn an_unknown_app_is_an_error() {
    let stand = Stand::start().await;
    let writer = stand.cloud.writer("pipeline");
    assert!(matches!(
        writer.set("nobody", "A", "1"),
        Err(CloudError::UnknownApp(_))
    ));
    let rewrite = writer.rewrite("nobody", std::future::ready(()), |_| {});
    assert!(matches!(rewrite.await, Err(CloudError::UnknownApp(_))));
    assert!(!format!("{writer:?}").contains("token"));
    assert!(stand.cloud.requests().is_empty());
}
