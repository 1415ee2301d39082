//! Protected names: settings that the platform, the runtime or keyrelay itself depends on.

use crate::names::SettingName;
use crate::platform_name::readings;

/// The protected names. A wrong value can stop the app, run other code in it, or send its code or
/// its data elsewhere, so patterns never grant them. In lower case, in the form of an environment
/// variable; a `*` at one end matches any characters.
#[rustfmt::skip]
const PROTECTED: &[&str] = &[
    // App Service, Functions and their builds.
    "app_command_line", "appinsights_*", "applicationinsights_*", "applicationinsightsagent_*", "appsetting_*",
    "appsvc_*", "azure_authority_host", "azure_functions_*", "azurefunctions*", "azurewebjobs*", "build_flags",
    "command", "connectionstrings__azurewebjobs*", "container_*", "custom_build_command", "customconnstr_azurewebjobs*",
    "deployment_branch", "deployment_storage_connection_string", "diagnostics_*", "docker_*", "enable_oryx_build",
    "functions_*", "http_*", "https_*", "identity_*", "imds_*", "keyrelay_*", "languageworkers__*", "machinekey_*",
    "msdeploy_*", "msi_*", "mysqlconnstr_azurewebjobs*", "oryx_*", "port", "post_build_*",
    "postgresqlconnstr_azurewebjobs*", "pre_build_*", "project", "run_build_command", "scm_*",
    "sqlazureconnstr_azurewebjobs*", "sqlconnstr_azurewebjobs*", "startup_command", "web_*", "webjobs_*",
    "website_*", "websites_*", "xdt_*",
    // The loader, the C library and the shell.
    "bash_*", "bashopts", "cdpath", "dyld_*", "env", "gconv_path", "glibc_tunables", "home", "hostaliases", "ifs",
    "ld_*", "lessclose", "lessopen", "localdomain", "locpath", "malloc_*", "nlspath", "path", "prompt_command",
    "ps4", "res_options", "resolv_*", "shell", "shellopts", "temp", "tmp", "tmpdir", "tzdir", "xdg_*", "zdotdir",
    // Windows and PowerShell.
    "allusersprofile", "appdata", "comspec", "homedrive", "homepath", "localappdata", "pathext", "powershell_*",
    "programdata", "programfiles*", "psexecutionpolicypreference", "psmodule*", "systemdrive", "systemroot",
    "userprofile", "windir",
    // Certificates, proxies and the tools that fetch.
    "*_proxy", "aws_ca_bundle", "curl_*", "editor", "git_*", "grpc_*", "krb5*", "openssl_*", "pager",
    "requests_ca_bundle", "ssh_askpass", "ssh_auth_sock", "ssl_cert_*", "sslkeylogfile", "visual", "wgetrc",
    // .NET.
    "aspnetcore_*", "complus_*", "cor_*", "core_libraries", "core_root", "coreclr_*", "corehost_*", "dotnet_*",
    "hostingstartupassemblies", "kestrel__*", "msbuild*", "nuget_*", "urls",
    // Java.
    "_java_options", "catalina_*", "classpath", "gradle_*", "ibm_java_options", "java_*", "jboss_*",
    "jdk_java_options", "jdk_jvm_options", "jre_home", "jvm_*", "loader_*", "log4j*", "logging_config",
    "management_endpoint*", "maven_*", "openj9_java_options", "server_port", "spring_application_json",
    "spring_cloud_bootstrap_*", "spring_config_*", "spring_main_*", "spring_profiles_*",
    // JavaScript.
    "bun_*", "corepack_*", "deno_*", "electron_run_as_node", "node_*", "npm_*", "pnpm_*", "ts_node_*", "yarn_*",
    // Python.
    "conda_*", "django_settings_module", "flask_app", "flask_debug", "flask_env", "flask_run_*",
    "gunicorn_*", "pip_*", "pipenv_*", "poetry_*", "python*", "uv_*", "uvicorn_*", "virtual_env", "werkzeug_*",
    // PHP.
    "apache_*", "composer_*", "nginx_*", "php_*", "phprc",
    // Ruby and Perl.
    "bundle_*", "bundler_*", "gem_*", "irbrc", "perl*", "puma_*", "rack_env", "rails_env", "ruby*",
    // Go.
    "gocoverdir", "godebug", "goenv", "goflags", "gogc", "gomaxprocs", "gomemlimit", "gopath", "goproxy",
    "goroot", "gosumdb", "gotoolchain", "gotraceback",
    // Telemetry and sidecars.
    "dapr_*", "otel_*",
];

/// Whether a setting is protected, because a wrong value can break or take over the app. The name
/// counts as the platform reads it: `LD.PRELOAD` is `LD_PRELOAD` on Linux.
pub fn is_protected(name: &SettingName) -> bool {
    let readings = readings(name);
    PROTECTED
        .iter()
        .any(|protected| readings.iter().any(|reading| matches(protected, reading)))
}

fn matches(protected: &str, reading: &str) -> bool {
    if let Some(start) = protected.strip_suffix('*') {
        reading.starts_with(start)
    } else if let Some(end) = protected.strip_prefix('*') {
        reading.ends_with(end)
    } else {
        reading == protected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &[&str], expected: bool) {
        for name in names {
            assert_eq!(
                is_protected(&SettingName::listed(*name)),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn variables_of_the_loader_the_shells_and_the_runtimes_are_protected() {
        check(
            &[
                "LD_PRELOAD",
                "LD_LIBRARY_PATH",
                "LD_AUDIT",
                "GLIBC_TUNABLES",
                "GCONV_PATH",
                "PATH",
                "IFS",
                "BASH_ENV",
                "ENV",
                "PSModulePath",
                "HTTP_PROXY",
                "https_proxy",
                "ALL_PROXY",
                "no_proxy",
                "SSL_CERT_FILE",
                "SSL_CERT_DIR",
                "OPENSSL_CONF",
                "OPENSSL_MODULES",
                "CURL_CA_BUNDLE",
                "REQUESTS_CA_BUNDLE",
                "GIT_SSH_COMMAND",
                "JAVA_TOOL_OPTIONS",
                "_JAVA_OPTIONS",
                "JDK_JAVA_OPTIONS",
                "JAVA_OPTS",
                "CLASSPATH",
                "NODE_PATH",
                "NODE_OPTIONS",
                "NODE_EXTRA_CA_CERTS",
                "PERL5OPT",
                "PERL5LIB",
                "RUBYOPT",
                "RUBYLIB",
                "PYTHONPATH",
                "PYTHONSTARTUP",
                "COR_PROFILER",
                "CORECLR_PROFILER_PATH",
                "DOTNET_STARTUP_HOOKS",
                "COMPlus_Profiler",
                "ASPNETCORE_URLS",
                "ASPNETCORE_HOSTINGSTARTUPASSEMBLIES",
                "PHP_INI_SCAN_DIR",
                "PHPRC",
                "GODEBUG",
            ],
            true,
        );
    }

    #[test]
    fn settings_of_app_service_and_functions_are_protected() {
        check(
            &[
                "AzureWebJobsStorage",
                "AzureWebJobsStorage__accountName",
                "FUNCTIONS_WORKER_RUNTIME",
                "WEBSITE_RUN_FROM_PACKAGE",
                "APPLICATIONINSIGHTS_CONNECTION_STRING",
                "DEPLOYMENT_STORAGE_CONNECTION_STRING",
                "APPSETTING_X",
                "SCM_COMMAND_IDLE_TIMEOUT",
                "IDENTITY_ENDPOINT",
                "MSI_SECRET",
                "ConnectionStrings:AzureWebJobsStorage",
                "CUSTOMCONNSTR_AzureWebJobsStorage",
            ],
            true,
        );
    }

    #[test]
    fn a_disguise_is_protected_like_the_name() {
        check(
            &[
                "LD.PRELOAD",
                "ld-preload",
                "Ld:Preload",
                "AzureFunctionsJobHost:x",
                "AzureFunctionsJobHost..x",
                "AzureFunctionsJobHost__x",
                "azurewebjobsstorage",
                "AzureWebJobsStorage:accountName",
                "NODE.OPTIONS",
                "ConnectionStrings..AzureWebJobsStorage",
                "Kestrel:Endpoints:Http:Url",
                ".JAVA.OPTIONS",
                "NO.PROXY",
            ],
            true,
        );
    }

    #[test]
    fn names_of_applications_are_not_protected() {
        check(
            &[
                "SQL_PASSWORD",
                "Sql:Password",
                "ConnectionStrings:Orders",
                "STORAGE_KEY",
                "ENVIRONMENT",
                "PATHS",
                "SPRING_DATASOURCE_PASSWORD",
                "FLASK_SECRET_KEY",
                "GOOGLE_API_KEY",
                "PORTAL_KEY",
                "AZURE_CLIENT_SECRET",
                "RAILS_MASTER_KEY",
                "CORE_API_KEY",
                "PROXY",
            ],
            false,
        );
    }

    #[test]
    fn each_entry_is_a_reading() {
        for entry in PROTECTED {
            let name = entry.replace('*', "x");
            assert!(
                readings(&SettingName::listed(&name)).contains(&name),
                "{entry}"
            );
            assert!(is_protected(&SettingName::listed(&name)), "{entry}");
        }
    }
}
