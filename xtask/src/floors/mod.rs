//! The floors of the library, as `docs/architecture.md` has them: who may import from whom.

mod imports;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use self::imports::{Import, Package};

/// The page with the tables.
const PAGE: &str = "docs/architecture.md";

/// Where the library's rooms are.
const LIBRARY: &str = "host/src";

/// A line of the table of floors.
struct Floor {
    name: String,
    rooms: Vec<String>,
    /// Whether its rooms may not import from each other at all.
    are_apart: bool,
}

/// Checks the floors of the library, and the folders whose files must not import each other in a circle.
pub fn check(root: &Path) -> Result<()> {
    let page = std::fs::read_to_string(root.join(PAGE)).with_context(|| format!("cannot read {PAGE}"))?;
    let floors = floors(&page)?;
    let library = Package::read(&root.join(LIBRARY))?;
    let mut broken = check_floors(&floors, &library);
    let folders = table(&page, "folder")?;
    ensure!(!folders.is_empty(), "{PAGE} has no table of folders");
    for folder in folders.iter().flat_map(|row| quoted(&row[0])) {
        let source = folder.find("/src").map_or(&*folder, |end| &folder[..end + 4]);
        let package = Package::read(&root.join(source))?;
        let module: Vec<String> =
            folder[source.len()..].split('/').filter(|part| !part.is_empty()).map(Into::into).collect();
        broken.extend(
            circle(&package, &module)
                .map(|circle| format!("files of {folder} import each other in a circle: {circle}")),
        );
    }
    match broken.is_empty() {
        true => Ok(()),
        false => bail!("{PAGE} does not allow this:\n{}", broken.join("\n")),
    }
}

fn floors(page: &str) -> Result<Vec<Floor>> {
    let floors: Vec<_> = table(page, "floor")?
        .into_iter()
        .map(|row| Floor { name: row[0].clone(), rooms: quoted(&row[1]), are_apart: row[2] == "apart" })
        .collect();
    ensure!(!floors.is_empty(), "{PAGE} has no table of floors");
    Ok(floors)
}

/// The cells of the table whose first heading is this.
fn table(page: &str, heading: &str) -> Result<Vec<Vec<String>>> {
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let mut lines = page.lines().skip_while(|line| !line.starts_with(&format!("| {heading} |")));
    let columns = cells(lines.next().with_context(|| format!("{PAGE} has no table of every {heading}"))?).len();
    let rows: Vec<_> = lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect();
    ensure!(
        rows.iter().all(|row| row.len() == columns),
        "rows of the table of every {heading} in {PAGE} differ in length"
    );
    Ok(rows)
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(|part| part.trim_end_matches('/').to_owned()).collect()
}

fn check_floors(floors: &[Floor], library: &Package) -> Vec<String> {
    let mut broken = Vec::new();
    let floor_of: BTreeMap<&str, usize> = floors
        .iter()
        .enumerate()
        .flat_map(|(at, floor)| floor.rooms.iter().map(move |room| (room.as_str(), at)))
        .collect();
    let rooms: BTreeSet<&str> = library.children(&[]).collect();
    for room in &rooms {
        if !floor_of.contains_key(room) {
            broken.push(format!("{LIBRARY}/{room}: the room is on no floor: add it to the table"));
        }
    }
    for room in floor_of.keys() {
        if !rooms.contains(room) {
            broken.push(format!("{LIBRARY}/{room}: there is no such room: take it out of the table"));
        }
    }
    let mut within: Edges = BTreeMap::new();
    for import in library.imports() {
        let (Some(from), Some(to)) = (import.from.first(), library.child(&[], import)) else { continue };
        let (Some(&above), Some(&below)) = (floor_of.get(from.as_str()), floor_of.get(to)) else { continue };
        let shown = || format!("{LIBRARY}/{} imports {import}", import.file);
        if from == to || below < above {
            continue;
        }
        let floor = &floors[above];
        if below > above {
            broken.push(format!(
                "{}: `{to}` is on the floor {}, above `{from}` on the floor {}; a room imports from the floors below its own",
                shown(), floors[below].name, floor.name
            ));
        } else if floor.are_apart {
            broken.push(format!(
                "{}: `{from}` and `{to}` are on the floor {}, whose rooms are apart",
                shown(),
                floor.name
            ));
        } else {
            within.entry(from).or_default().entry(to).or_insert(import);
        }
    }
    broken.extend(
        find_circle(&within).map(|circle| format!("rooms of one floor import each other in a circle: {circle}")),
    );
    broken
}

/// Which imports which, each with one import that does it.
type Edges<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>>;

/// A circle between the files and folders of a module. The module's own file is none of them: it names what is in it.
fn circle(package: &Package, module: &[String]) -> Option<String> {
    let mut edges: Edges = BTreeMap::new();
    for import in package.imports() {
        let Some(from) = import.from.strip_prefix(module).and_then(|rest| rest.first()) else { continue };
        if let Some(to) = package.child(module, import).filter(|to| to != from) {
            edges.entry(from).or_default().entry(to).or_insert(import);
        }
    }
    find_circle(&edges)
}

fn find_circle(edges: &Edges<'_>) -> Option<String> {
    // Takes away what imports nothing that is left, until nothing or only circles and what leads to them is left.
    let mut left: BTreeSet<&str> = edges.keys().copied().collect();
    loop {
        let before = left.len();
        let leads_on = |from: &&str| edges[from].keys().any(|to| left.contains(to));
        left = left.iter().copied().filter(leads_on).collect();
        if left.len() == before {
            break;
        }
    }
    let mut path = vec![*left.first()?];
    loop {
        let (&next, _) = edges[path.last()?].iter().find(|(to, _)| left.contains(*to))?;
        if let Some(start) = path.iter().position(|seen| *seen == next) {
            path.drain(..start);
            path.push(next);
            break;
        }
        path.push(next);
    }
    let steps = path.windows(2).map(|step| {
        let import = edges[step[0]][step[1]];
        format!("{} imports {import}", import.file)
    });
    Some(steps.collect::<Vec<_>>().join(", "))
}
