//! The formats of documents.

use std::fmt;

use media::MediaType;

/// Format of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `{"distributed-cache":{"mode":"SYNC"}}`
    Json,
    /// `<distributed-cache mode="SYNC"/>`
    Xml,
    /// `distributedCache: {mode: SYNC}`
    Yaml,
    /// Settings of the server alone: `port = 11222`.
    Toml,
}

impl Format {
    /// The format that a media type names, of those a cache can be configured in.
    #[must_use]
    pub fn of(media_type: &MediaType) -> Option<Self> {
        match media_type.essence() {
            "application/json" => Some(Self::Json),
            "application/xml" | "text/xml" => Some(Self::Xml),
            "application/yaml" | "application/x-yaml" | "text/yaml" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// The media type of a document, for those a cache can be written in.
    #[must_use]
    pub const fn media_type(self) -> Option<MediaType> {
        match self {
            Self::Json => Some(MediaType::JSON),
            Self::Xml => Some(MediaType::XML),
            Self::Yaml => Some(MediaType::YAML),
            Self::Toml => None,
        }
    }

    /// The format that a document has by the look of it.
    #[must_use]
    pub fn told_by(document: &str) -> Self {
        let significant = |line: &&str| !line.is_empty() && !line.starts_with('#');
        let line = document.trim_start_matches('\u{feff}').lines().map(str::trim).find(significant);
        let line = line.unwrap_or_default();
        let assigns = |equals| line.find(':').is_none_or(|colon| equals < colon);
        if line.starts_with('<') {
            Self::Xml
        } else if line.starts_with('{') {
            Self::Json
        } else if line.starts_with('[') || line.find('=').is_some_and(assigns) {
            Self::Toml
        } else {
            Self::Yaml
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "JSON",
            Self::Xml => "XML",
            Self::Yaml => "YAML",
            Self::Toml => "TOML",
        })
    }
}

#[cfg(test)]
mod tests {
    //! A document shows what it is.

    use super::*;

    #[test]
    fn a_document_shows_its_format() {
        for (document, format) in [
            ("\u{feff}\n <infinispan/>", Format::Xml),
            ("{\"distributed-cache\":{}}", Format::Json),
            ("# a comment\ndistributedCache: {mode: SYNC}", Format::Yaml),
            ("a:\n  b: x=y", Format::Yaml),
            ("# a comment\n\nport = 11222", Format::Toml),
            ("[limits]\nmax-key = \"1KiB\"", Format::Toml),
            ("advertised = \"cache.example.org:11222\"", Format::Toml),
            ("", Format::Yaml),
        ] {
            assert_eq!(Format::told_by(document), format, "{document}");
        }
    }
}
