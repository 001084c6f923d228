//! `schema`: the documents of the contract, as this release has them.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, anyhow};

use crate::cli::SchemaArgs;
use crate::exit::Failure;
use crate::producer::{DOCUMENTS, Document, example};

pub(crate) fn run(args: &SchemaArgs) -> Result<(), Failure> {
    if let Some(folder) = &args.output {
        write_all(folder)?;
        return Ok(());
    }
    let name = match (&args.name, args.asyncapi, args.answer) {
        (Some(name), ..) => Some(name.as_str()),
        (None, true, _) => Some("asyncapi"),
        (None, false, true) => Some("answer"),
        (None, false, false) => None,
    };
    let text = match (name, args.example) {
        (Some(name), Some(form)) => example(document(name)?, form)?,
        (Some(name), None) => document(name)?.text.to_owned(),
        (None, Some(_)) => {
            return Err(anyhow!("--example is of one type: schema user.updated --example").into());
        }
        (None, None) => list(),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads the output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written.context("the document cannot be printed")?),
    }
}

/// Also takes `user.updated` for `app.connvo.user.updated.v1`.
fn document(name: &str) -> anyhow::Result<&'static Document> {
    Document::find(name)
        .or_else(|| Document::find(&format!("app.connvo.{name}.v1")))
        .with_context(|| {
            format!(
                "there is no document {name}; one of these is meant:\n{}",
                list()
            )
        })
}

fn list() -> String {
    let line = |document: &Document| format!("{:34} {}\n", document.name(), document.title());
    DOCUMENTS.iter().map(line).collect()
}

/// Writes the documents as they refer to each other.
fn write_all(folder: &Path) -> anyhow::Result<()> {
    for document in DOCUMENTS {
        let path = folder.join(document.path);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, document.text))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_what_people_see() {
        crate::golden::assert("schema.txt", &list());
    }

    #[test]
    fn a_document_is_found_by_its_short_name_and_a_wrong_one_is_answered_with_the_list() {
        let path = |name| document(name).map(|document| document.path).ok();
        let updated = Some("events/app.connvo.user.updated.v1.json");
        assert_eq!(path("user.updated"), updated);
        assert_eq!(path("app.connvo.user.updated.v1"), updated);
        let said = document("user.renamed").unwrap_err().to_string();
        assert!(
            said.starts_with("there is no document user.renamed;"),
            "{said}"
        );
        assert!(said.contains("app.connvo.user.updated.v1"), "{said}");
    }
}
