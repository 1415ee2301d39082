use keyrelay_azure::{Cloud, CloudError, Http, LogAnalytics, ResourceManager};

use crate::fake::credential;

fn with_resource_manager(url: &str) -> Cloud {
    Cloud {
        resource_manager: url.parse().unwrap(),
        ..Cloud::public()
    }
}

fn with_vaults(endpoint: &str) -> Cloud {
    Cloud {
        vault_endpoint: endpoint.to_owned(),
        ..Cloud::public()
    }
}

#[track_caller]
fn check(cloud: Cloud, complaint: &str) {
    let error = cloud.check().unwrap_err();
    assert!(error.to_string().contains(complaint), "{error}");
}

#[test]
fn all_three_clouds_pass_the_check() {
    let clouds = [Cloud::public(), Cloud::us_gov(), Cloud::china()];
    for cloud in &clouds {
        assert_eq!(cloud.check(), Ok(()));
    }
    let endpoints = clouds
        .each_ref()
        .map(|cloud| cloud.resource_manager.as_str());
    let expected = [
        "https://management.azure.com/",
        "https://management.usgovcloudapi.net/",
        "https://management.chinacloudapi.cn/",
    ];
    assert_eq!(endpoints, expected);
    let vaults = clouds.each_ref().map(|cloud| cloud.vault_audience.as_str());
    assert_eq!(
        vaults,
        [
            "https://vault.azure.net",
            "https://vault.usgovcloudapi.net",
            "https://vault.azure.cn"
        ]
    );
    let log_analytics = clouds.each_ref().map(|cloud| {
        (
            cloud.log_analytics.as_str(),
            cloud.log_analytics_audience.as_str(),
        )
    });
    let expected = [
        (
            "https://api.loganalytics.azure.com/",
            "https://api.loganalytics.io",
        ),
        (
            "https://api.loganalytics.us/",
            "https://api.loganalytics.us",
        ),
        (
            "https://api.loganalytics.azure.cn/",
            "https://api.loganalytics.azure.cn",
        ),
    ];
    assert_eq!(log_analytics, expected);
}

#[test]
fn plain_http_is_allowed_for_loopback_only() {
    for url in [
        "http://127.0.0.1:4001",
        "http://127.9.9.9",
        "http://[::1]:4001",
        "http://localhost:4001/arm",
    ] {
        assert_eq!(with_resource_manager(url).check(), Ok(()), "{url}");
    }
    for url in [
        "http://management.azure.com",
        "http://localhost.example",
        "http://10.0.0.1",
        "http://[::2]",
    ] {
        check(with_resource_manager(url), "plain http");
    }
    check(with_vaults("http://{host}"), "plain http");
    check(
        Cloud {
            log_analytics: "http://api.loganalytics.azure.com".parse().unwrap(),
            ..Cloud::public()
        },
        "log_analytics is",
    );
}

#[test]
fn an_invalid_cloud_is_rejected() {
    check(
        with_resource_manager("ftp://management.azure.com"),
        "https://",
    );
    check(
        with_resource_manager("https://user@management.azure.com"),
        "a host and a path",
    );
    check(
        with_resource_manager("https://management.azure.com/?a=b"),
        "a host and a path",
    );
    check(
        with_vaults("https://vault.azure.net"),
        "`{host}` or `{vault}`",
    );
    check(with_vaults("{host}"), "vault_endpoint");
    check(
        Cloud {
            vault_suffix: String::new(),
            ..Cloud::public()
        },
        "vault_suffix",
    );
    check(
        Cloud {
            vault_audience: String::new(),
            ..Cloud::public()
        },
        "vault_audience",
    );
    check(
        Cloud {
            log_analytics_audience: "a b".to_owned(),
            ..Cloud::public()
        },
        "log_analytics_audience",
    );
    check(
        Cloud {
            web_api_version: "a&b".to_owned(),
            ..Cloud::public()
        },
        "web_api_version",
    );
}

#[test]
fn every_constructor_checks_its_cloud() {
    let cloud = with_resource_manager("http://management.example");
    let built = ResourceManager::new(&cloud, credential(), Http::new().unwrap());
    assert!(matches!(built, Err(CloudError::PlainHttp { .. })));
    let built = LogAnalytics::new(&cloud, credential(), Http::new().unwrap());
    assert!(matches!(built, Err(CloudError::PlainHttp { .. })));
}
