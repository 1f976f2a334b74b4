//! Cross-origin requests: what a browser may send here.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use bytes::Bytes;

/// `cors` of an HTTP server.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// Origins, each with at most one `*`.
    pub origins: Vec<String>,
    /// Headers beyond the usual ones; `*` for any.
    pub headers: Vec<String>,
    pub exposed: Vec<String>,
    /// Seconds that a browser may remember a preflight answer.
    pub max_age: u64,
}

const USUAL: [&str; 6] =
    ["accept", "content-encoding", "content-type", "origin", "traceparent", "x-requested-with"];

impl Cors {
    /// Answer a preflight request.
    pub fn preflight(&self, request: &HeaderMap) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
        headers.insert(header::VARY, HeaderValue::from_static(vary));
        let Some(origin) = self.origin(request) else { return response };
        if request.get(header::ACCESS_CONTROL_REQUEST_METHOD)
            != Some(&HeaderValue::from_static("POST"))
        {
            return response;
        }
        let asked = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let names = asked.and_then(|names| names.to_str().ok()).unwrap_or_default();
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        if !names.into_iter().all(|name| self.allows_header(name)) {
            return response;
        }
        self.allow(headers, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        if let Some(asked) = asked {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        if self.max_age > 0 {
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(self.max_age));
        }
        response
    }

    /// Put on the answer to an actual request what lets the page read it.
    pub fn mark(&self, request: &HeaderMap, response: &mut HeaderMap) {
        response.append(header::VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = self.origin(request) else { return };
        self.allow(response, origin);
        if let Ok(exposed) = HeaderValue::from_str(&self.exposed.join(", "))
            && !exposed.is_empty()
        {
            response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }

    /// The origin of the request when it is allowed.
    fn origin<'a>(&self, request: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = request.get(header::ORIGIN)?;
        let text = origin.to_str().ok()?;
        self.origins.iter().any(|pattern| matches(pattern, text)).then_some(origin)
    }

    fn allow(&self, headers: &mut HeaderMap, origin: &HeaderValue) {
        if self.origins.iter().any(|pattern| pattern == "*") {
            // Any page, so none with the user's credentials.
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            return;
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }

    fn allows_header(&self, name: &str) -> bool {
        USUAL.iter().any(|usual| usual.eq_ignore_ascii_case(name))
            || self.headers.iter().any(|header| header == "*" || header.eq_ignore_ascii_case(name))
    }
}

fn matches(pattern: &str, origin: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern.eq_ignore_ascii_case(origin),
        Some((start, end)) => {
            origin.len() >= start.len() + end.len()
                && origin.is_char_boundary(start.len())
                && origin.is_char_boundary(origin.len() - end.len())
                && origin[..start.len()].eq_ignore_ascii_case(start)
                && origin[origin.len() - end.len()..].eq_ignore_ascii_case(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards() {
        assert!(matches("*", "https://a.example"));
        assert!(matches("https://*.example.com", "https://a.b.example.com"));
        assert!(matches("HTTPS://one.example", "https://ONE.example"));
        assert!(!matches("https://*.example.com", "https://example.com"));
        assert!(!matches("https://*.example.com", "https://a.example.com.evil"));
        assert!(!matches("https://a*a", "https://a"));
        assert!(!matches("https://é*", "https://e"));
    }
}
