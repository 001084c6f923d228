//! Where JetStream takes requests: its own account's API, another domain's, or one that was imported.

/// What the subjects of requests begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiPrefix(String);

impl Default for ApiPrefix {
    fn default() -> Self {
        Self("$JS.API".to_owned())
    }
}

impl ApiPrefix {
    /// Of a domain: servers behind a leaf node. `None` for what is no name of one.
    pub fn of_domain(domain: &str) -> Option<Self> {
        is_token(domain).then(|| Self(format!("$JS.{domain}.API")))
    }

    /// As an account imported it. `None` for what no subject begins with.
    pub fn of_import(prefix: &str) -> Option<Self> {
        prefix
            .split('.')
            .all(is_token)
            .then(|| Self(prefix.to_owned()))
    }

    /// The subject of a request, such as `STREAM.INFO.NAME`.
    pub fn subject(&self, request: &str) -> String {
        let Self(prefix) = self;
        format!("{prefix}.{request}")
    }

    /// Without a dot at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_token(token: &str) -> bool {
    let illegal = |c: char| c.is_whitespace() || c.is_control() || ".*>".contains(c);
    !token.is_empty() && !token.contains(illegal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_where_they_are_taken() {
        let subject = |api: ApiPrefix| api.subject("STREAM.INFO.S");
        assert_eq!(subject(ApiPrefix::default()), "$JS.API.STREAM.INFO.S");
        let hub = ApiPrefix::of_domain("hub").unwrap();
        assert_eq!(subject(hub), "$JS.hub.API.STREAM.INFO.S");
        let imported = ApiPrefix::of_import("js.of.others").unwrap();
        assert_eq!(subject(imported), "js.of.others.STREAM.INFO.S");
        for bad in ["", "a b", "a.", ".a", "a..b", "a.*", ">", "a\r\n"] {
            assert_eq!(ApiPrefix::of_import(bad), None, "{bad:?}");
            assert_eq!(ApiPrefix::of_domain(bad), None, "{bad:?}");
        }
        assert_eq!(ApiPrefix::of_domain("a.b"), None);
    }
}
