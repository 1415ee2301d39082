//! A browser without a window: it keeps a cookie, and follows one redirect.

use reqwest::header::{COOKIE, HeaderMap, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, RequestBuilder, StatusCode};

use crate::site::Site;

/// A session with a site.
pub(crate) struct Browser {
    client: Client,
    pub(crate) site: Site,
    pub(crate) cookie: String,
}

/// A response, as far as the tests look at it.
pub(crate) struct Shown {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Browser {
    /// Opens the address that the command prints.
    pub(crate) async fn open(site: Site) -> Self {
        let client = client();
        let url = format!("{}{}", site.origin, site.begin);
        let response = client.get(url).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(response.headers()[LOCATION], "/");
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Self {
            client,
            site,
            cookie,
        }
    }

    pub(crate) fn request(&self, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.site.origin);
        self.client.get(url).header(COOKIE, &self.cookie)
    }

    /// A page that has to be there.
    pub(crate) async fn page(&self, path: &str) -> String {
        let shown = self.show(path).await;
        assert_eq!(shown.status, 200, "{path}: {}", shown.text);
        shown.text
    }

    pub(crate) async fn show(&self, path: &str) -> Shown {
        Shown::of(self.request(path)).await
    }

    /// Sends a form, as a page of this site.
    pub(crate) async fn send(&self, path: &str, form: &[(String, String)]) -> Shown {
        Shown::of(self.form(path, form).header(ORIGIN, &self.site.origin)).await
    }

    /// A form without the headers of a browser.
    pub(crate) fn form(&self, path: &str, form: &[(String, String)]) -> RequestBuilder {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let url = format!("{}{path}", self.site.origin);
        let request = self.client.post(url).header(COOKIE, &self.cookie);
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    }

    /// Confirms the action at an address, with a reason, and returns the page of its record.
    pub(crate) async fn act(&self, link: &str, why: &str) -> String {
        let page = self.page(link).await;
        let (path, _) = link.split_once('?').unwrap();
        let mut form = hidden_fields(&page);
        form.push(("why".to_owned(), why.to_owned()));
        let sent = self.send(path, &form).await;
        assert_eq!(sent.status, 303, "{}", sent.text);
        let record = sent.headers[LOCATION].to_str().unwrap().to_owned();
        self.page(&record).await
    }
}

impl Shown {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }
}

pub(crate) fn client() -> Client {
    let none = reqwest::redirect::Policy::none();
    let client = Client::builder().redirect(none).no_proxy();
    client
        .timeout(std::time::Duration::from_secs(120))
        .build()
        .unwrap()
}

/// The hidden fields of a page, without the escapes of HTML.
pub(crate) fn hidden_fields(page: &str) -> Vec<(String, String)> {
    let fields = page.split("<input type=\"hidden\" name=\"").skip(1);
    let field = |field: &str| {
        let (name, rest) = field.split_once("\" value=\"").unwrap();
        let (value, _) = rest.split_once('"').unwrap();
        (name.to_owned(), value.replace("&amp;", "&"))
    };
    fields.map(field).collect()
}

/// The addresses of the links of a page that begin like this.
pub(crate) fn links(page: &str, begin: &str) -> Vec<String> {
    let links = page.split("href=\"").skip(1);
    let links = links.filter_map(|rest| rest.split('"').next());
    let links = links.map(|link| link.replace("&amp;", "&"));
    links.filter(|link| link.starts_with(begin)).collect()
}
