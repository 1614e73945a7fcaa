//! What responses have besides the file: `--header`, `--cache`, `--cors`, `--mime-types`, `--default-type`.

use super::error::ConfigError;
use super::file;
use super::values::Values;
use crate::files::{CacheRule, Cors, GivenField, Rules, TypeTable, is_type};

pub(super) fn rules(values: &Values) -> Result<Option<Rules>, ConfigError> {
    let fields = read_all(values, "header", GivenField::parse)?;
    let caching = read_all(values, "cache", CacheRule::parse)?;
    let origins: Vec<&str> = values.all("cors").collect();
    let cors = match origins.as_slice() {
        [] => None,
        origins => {
            let cors = Cors::parse(origins);
            Some(cors.map_err(|(value, wanted)| values.invalid("cors", value, wanted))?)
        }
    };
    if cors.is_some() && fields.iter().any(GivenField::is_of_cors) {
        return Err(values.usage("cors", "leave out the --header Access-Control-…: --cors writes these"));
    }
    let rules = Rules { fields, caching, cors };
    Ok(Some(rules).filter(|rules| *rules != Rules::default()))
}

/// Reads each value of an option that may be repeated.
fn read_all<T>(
    values: &Values,
    name: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, ConfigError> {
    let read = |text| read(text).map_err(|wanted| values.invalid(name, text, &wanted));
    values.all(name).map(read).collect()
}

pub(super) fn types(values: &Values) -> Result<Option<TypeTable>, ConfigError> {
    let unknown = values.get("default-type");
    if unknown.is_some_and(|text| !is_type(text)) {
        return Err(values.usage("default-type", "give TYPE/SUBTYPE; the charset is found in the file"));
    }
    let Some(path) = values.path("mime-types") else {
        return Ok(unknown.map(TypeTable::of_unknown));
    };
    let name = path.display();
    let unreadable = |error| {
        let line = format!("cannot read the media types in {name}: {error}; give another with --mime-types");
        values.sources().start_error("--mime-types", line)
    };
    let bytes = file::read_bytes(&path).map_err(unreadable)?;
    let parsed = TypeTable::parse(&String::from_utf8_lossy(&bytes), unknown);
    parsed.map(Some).map_err(|(line, what)| ConfigError::File(format!("{name}:{line}: {what}")))
}
