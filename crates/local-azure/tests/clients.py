"""Runs Microsoft's own client libraries against the stand-in and compares their results.

Requires azure-identity, azure-keyvault-secrets and azure-mgmt-web, and a stand-in with the world of clients.toml and a
page size of 2. Requires in the environment: IDENTITY_ENDPOINT and IDENTITY_HEADER of a caller that no vault denies,
KEY_VAULT_URL (the vault contoso-kv) and RESOURCE_MANAGER_URL, both https, and CERTIFICATE, the file with the stand-in's
certificate. Exits with 1 at the first difference. `cargo xtask clients` provides all of this.
"""

import logging
import os
import sys
import time
from datetime import datetime, timedelta, timezone

from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient
from azure.mgmt.web import WebSiteManagementClient

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
VAULT = "https://contoso-kv.vault.azure.net"
CERTIFICATE = os.environ["CERTIFICATE"]


class BadToken:
    """A credential with invalid tokens."""

    def get_token(self, *scopes, **kwargs):
        return AccessToken("not-a-token", int(time.time()) + 3600)


def same(what, found, expected):
    if found != expected:
        sys.exit(f"DIFFERENT {what}: found {found!r}, expected {expected!r}")
    print(f"same      {what}")


def holds(what, condition):
    same(what, bool(condition), True)


def fails(what, error, status, code, act):
    try:
        act()
    except error as found:
        same(f"{what}: status", found.status_code, status)
        same(f"{what}: code", found.error.code if found.error else None, code)
    else:
        sys.exit(f"DIFFERENT {what}: did not fail")


def secret_client(credential):
    url = os.environ["KEY_VAULT_URL"]
    return SecretClient(
        url, credential, verify_challenge_resource=False, connection_verify=CERTIFICATE, retry_total=0
    )


def web_client(credential):
    url = os.environ["RESOURCE_MANAGER_URL"].rstrip("/")
    return WebSiteManagementClient(credential, SUBSCRIPTION, base_url=url, connection_verify=CERTIFICATE, retry_total=0)


def check_identity():
    for resource in ["https://management.azure.com/.default", "https://vault.azure.net/.default"]:
        token = ManagedIdentityCredential().get_token(resource)
        holds(f"a token for {resource} lasts", token.expires_on > time.time() + 300)
    user_assigned = ManagedIdentityCredential(client_id="99999999-0000-0000-0000-000000000001")
    holds("a user-assigned identity gets a token", user_assigned.get_token("https://vault.azure.net/.default").token)
    for what, credential, resource in [
        (
            "an unknown client id",
            ManagedIdentityCredential(client_id="00000000-0000-0000-0000-000000000000"),
            "https://vault.azure.net",
        ),
        ("an unknown resource", ManagedIdentityCredential(), "https://example.org"),
    ]:
        try:
            credential.get_token(resource + "/.default")
        except ClientAuthenticationError:
            print(f"same      {what} gets no token")
        else:
            sys.exit(f"DIFFERENT {what} got a token")


def check_versions(secrets):
    before = datetime.now(timezone.utc).replace(microsecond=0)
    not_before = datetime(2020, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    expires_on = datetime(2040, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    made = secrets.set_secret(
        "Made-Here",
        "value-1",
        content_type="text/plain",
        tags={"owner": "shop"},
        not_before=not_before,
        expires_on=expires_on,
    )
    properties = made.properties
    same("a new secret's value", made.value, "value-1")
    same("its id", made.id, f"{VAULT}/secrets/Made-Here/{properties.version}")
    same("its vault", properties.vault_url, VAULT)
    same("its name", properties.name, "Made-Here")
    same("its version's length", len(properties.version), 32)
    same("its content type", properties.content_type, "text/plain")
    same("its tags", properties.tags, {"owner": "shop"})
    same("its dates", (properties.not_before, properties.expires_on), (not_before, expires_on))
    holds("it is enabled", properties.enabled is True)
    holds("it was just created", before <= properties.created_on <= before + timedelta(seconds=60))
    same("it was not updated", properties.updated_on, properties.created_on)
    same("its recovery", (properties.recovery_level, properties.recoverable_days), ("Recoverable+Purgeable", 90))

    second = secrets.set_secret("made-here", "value-2")
    same("names compare without case", second.name, "Made-Here")
    same("the newest version", secrets.get_secret("made-here").properties.version, second.properties.version)
    same("an older version's value", secrets.get_secret("made-here", properties.version).value, "value-1")
    versions = list(secrets.list_properties_of_secret_versions("made-here", max_page_size=1))
    same(
        "all versions", sorted(it.version for it in versions), sorted([properties.version, second.properties.version])
    )
    same(
        "they come in the order of their ids", [it.version for it in versions], sorted(it.version for it in versions)
    )

    updated = secrets.update_secret_properties("made-here", second.properties.version, enabled=False, tags={"a": "b"})
    same("an update changes what it names", (updated.enabled, updated.tags), (False, {"a": "b"}))
    fails("a disabled secret", HttpResponseError, 403, "Forbidden", lambda: secrets.get_secret("made-here"))
    disabled = [it.version for it in secrets.list_properties_of_secret_versions("made-here") if not it.enabled]
    same("a disabled version is listed", disabled, [second.properties.version])


def check_secrets(secrets):
    for number in range(30):
        secrets.set_secret(f"many-{number:02}", "x")
    listed = list(secrets.list_properties_of_secrets())
    same("all secrets, over pages", sum(it.name.startswith("many-") for it in listed), 30)
    same("an id in a list", next(it.id for it in listed if it.name == "many-07"), f"{VAULT}/secrets/many-07")
    same("it has no version", next(it.version for it in listed if it.name == "many-07"), None)
    fails("an unknown secret", ResourceNotFoundError, 404, "SecretNotFound", lambda: secrets.get_secret("nobody"))
    fails(
        "an unknown version",
        ResourceNotFoundError,
        404,
        "SecretNotFound",
        lambda: secrets.get_secret("many-01", "0" * 32),
    )
    fails("an impossible name", HttpResponseError, 400, "BadParameter", lambda: secrets.set_secret("not_a_name", "x"))


def check_deletion(secrets):
    poller = secrets.begin_delete_secret("made-here", _polling_interval=0)
    deleted = poller.result()
    poller.wait()
    same("a deleted secret's name", deleted.name, "Made-Here")
    same("its recovery id", deleted.recovery_id, f"{VAULT}/deletedsecrets/Made-Here")
    same("its purge comes after 90 days", deleted.scheduled_purge_date - deleted.deleted_date, timedelta(days=90))
    fails("a deleted secret", ResourceNotFoundError, 404, "SecretNotFound", lambda: secrets.get_secret("made-here"))
    fails("its name is taken", ResourceExistsError, 409, "Conflict", lambda: secrets.set_secret("made-here", "x"))
    same("deleted secrets", [it.name for it in secrets.list_deleted_secrets()], ["Made-Here"])
    recovery = secrets.begin_recover_deleted_secret("made-here", _polling_interval=0)
    recovery.wait()
    same("a recovered secret's versions", len(list(secrets.list_properties_of_secret_versions("made-here"))), 2)
    secrets.begin_delete_secret("made-here", _polling_interval=0).wait()
    secrets.purge_deleted_secret("made-here")
    fails(
        "a purged secret",
        ResourceNotFoundError,
        404,
        "SecretNotFound",
        lambda: secrets.get_deleted_secret("made-here"),
    )


def check_sites(web):
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/providers/Microsoft.Web/sites"
    same(
        "all sites, over pages", sorted(it.name for it in web.web_apps.list()), ["legacy", "orders", "reports"]
    )
    same(
        "a group's sites",
        sorted(it.name for it in web.web_apps.list_by_resource_group("shop")),
        ["orders", "reports"],
    )
    site = web.web_apps.get("SHOP", "Orders")
    same("a site's id", site.id, f"{group}/orders")
    same(
        "its type, kind and place",
        (site.type, site.kind, site.location),
        ("Microsoft.Web/sites", "functionapp,linux", "West Europe"),
    )
    same("its state", (site.properties.state, site.properties.enabled), ("Running", True))
    same("its host", site.properties.default_host_name, "orders.azurewebsites.net")
    same("its group", site.properties.resource_group, "shop")
    holds("its date", site.properties.last_modified_time_utc <= datetime.now(timezone.utc))
    same("its identity", site.identity.type, "SystemAssigned")
    holds("its principal", site.identity.principal_id)
    same("a site without identity", web.web_apps.get("archive", "legacy").identity, None)
    slots = list(web.web_apps.list_slots("shop", "orders"))
    same(
        "slots, over pages", sorted(it.name for it in slots), ["orders/canary", "orders/load-test", "orders/staging"]
    )
    slot = web.web_apps.get_slot("shop", "orders", "staging")
    same("a slot", (slot.id, slot.type), (f"{group}/orders/slots/staging", "Microsoft.Web/sites/slots"))
    for what, act in [
        ("an unknown site", lambda: web.web_apps.get("shop", "nobody")),
        ("a site of another group", lambda: web.web_apps.get("shop", "legacy")),
        ("an unknown slot", lambda: web.web_apps.list_application_settings_slot("shop", "orders", "nobody")),
    ]:
        fails(what, ResourceNotFoundError, 404, "ResourceNotFound", act)
    unknown_group = lambda: list(web.web_apps.list_by_resource_group("nobody"))
    fails("an unknown group", ResourceNotFoundError, 404, "ResourceGroupNotFound", unknown_group)


def check_settings(web):
    listed = web.web_apps.list_application_settings("shop", "orders")
    same(
        "settings",
        (listed.name, listed.type, listed.properties["PLAIN"]),
        ("appsettings", "Microsoft.Web/sites/config", "text"),
    )
    same("their names", sorted(listed.properties), ["API", "MISSING", "PLAIN", "SQL"])
    changed = {**listed.properties, "ADDED": "new"}
    written = web.web_apps.update_application_settings("shop", "orders", {"properties": changed})
    same("a write answers the set", written.properties, changed)
    del changed["PLAIN"]
    web.web_apps.update_application_settings("shop", "orders", {"properties": changed})
    again = web.web_apps.list_application_settings("shop", "orders").properties
    same("a write replaces the set", again, changed)
    slot = web.web_apps.list_application_settings_slot("shop", "orders", "staging")
    same("a slot's settings", sorted(slot.properties), ["SQL"])
    extended = {**slot.properties, "S": "1"}
    web.web_apps.update_application_settings_slot("shop", "orders", "staging", {"properties": extended})
    same(
        "a slot's write",
        web.web_apps.list_application_settings_slot("shop", "orders", "staging").properties,
        extended,
    )
    same(
        "the site did not change",
        web.web_apps.list_application_settings("shop", "orders").properties,
        changed,
    )
    # Microsoft.Web's own error is not wrapped and its `Code` is capitalised, so the library does not find it.
    empty = lambda: web.web_apps.update_application_settings("shop", "orders", {})
    fails("a write without settings", HttpResponseError, 400, None, empty)


def check_references(web, secrets):
    newest = secrets.get_secret("sql-password").properties.version
    rows = {
        it.name: it.properties for it in web.web_apps.get_app_settings_key_vault_references("shop", "orders")
    }
    same("references, over pages", sorted(rows), ["API", "MISSING", "SQL"])
    same("a resolved one", (rows["SQL"].status, rows["SQL"].active_version), ("Resolved", newest))
    same(
        "what it names",
        (rows["SQL"].vault_name, rows["SQL"].secret_name, rows["SQL"].secret_version),
        ("contoso-kv", "sql-password", None),
    )
    same("how it is read", (rows["SQL"].source, rows["SQL"].identity_type.type), ("KeyVault", "SystemAssigned"))
    same("a missing secret", (rows["MISSING"].status, rows["MISSING"].active_version), ("SecretNotFound", None))

    def one(setting, site="orders", group="shop"):
        return web.web_apps.get_app_setting_key_vault_reference(group, site, setting).properties

    same("one row", one("SQL").active_version, newest)
    same("a denied vault", one("SQL", "reports").status, "AccessToKeyVaultDenied")
    same("no identity", one("SQL", "legacy", "archive").status, "MSINotEnabled")
    fails("a setting that is no reference", ResourceNotFoundError, 404, None, lambda: one("ADDED"))
    rotated = secrets.set_secret("sql-password", "second").properties.version
    same("a new version alone changes nothing", one("SQL").active_version, newest)
    settings = web.web_apps.list_application_settings("shop", "orders").properties
    settings["SQL"] = f"@Microsoft.KeyVault(SecretUri={VAULT}/secrets/sql-password/{rotated})"
    web.web_apps.update_application_settings("shop", "orders", {"properties": settings})
    same("a write resolves", (one("SQL").active_version, one("SQL").secret_version), (rotated, rotated))
    slot = lambda: web.web_apps.get_app_setting_key_vault_reference_slot(
        "shop", "orders", "SQL", "staging"
    ).properties
    names = [
        it.name
        for it in web.web_apps.get_app_settings_key_vault_references_slot("shop", "orders", "staging")
    ]
    same("a slot's references", names, ["SQL"])
    same("a slot's reference", slot().status, "Resolved")


def check_bad_tokens():
    web = web_client(BadToken())
    unknown = lambda: web.web_apps.get("shop", "orders")
    fails("a bad token at Resource Manager", ClientAuthenticationError, 401, "InvalidAuthenticationToken", unknown)
    fails(
        "a bad token at Key Vault",
        ClientAuthenticationError,
        401,
        "Unauthorized",
        lambda: secret_client(BadToken()).get_secret("api-key"),
    )


def main():
    # The libraries log the expected failures at length.
    logging.disable()
    credential = ManagedIdentityCredential()
    secrets, web = secret_client(credential), web_client(credential)
    check_identity()
    check_versions(secrets)
    check_secrets(secrets)
    check_deletion(secrets)
    check_sites(web)
    check_settings(web)
    check_references(web, secrets)
    check_bad_tokens()
    print("all the same")


if __name__ == "__main__":
    main()
