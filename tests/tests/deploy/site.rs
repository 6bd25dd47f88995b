//! The documents: the site builds, and every link in it and in what lies beside it leads somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::tools::tool;

use crate::rig::repository;

/// Links to files of the repository that are no part of the site.
const REPOSITORY: &str = "https://github.com/cofferdam/cofferdam/";

/// Documents that are read where they lie.
const BESIDE: [&str; 8] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "clients/README.md",
    "backends/README.md",
    "plugins/guest/README.md",
    "wit/VERSIONING.md",
];

/// The values of an attribute in a page.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    page.split(&format!(" {name}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// A link with its folder, `..` resolved.
fn resolve(from: &Path, link: &str) -> PathBuf {
    let mut path = from.parent().unwrap_or(Path::new("")).to_owned();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(path.pop()),
            part => path.push(part),
        }
    }
    path
}

/// The anchors of a Markdown file, as the site of its repository makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::new();
    let mut is_code = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        let Some(heading) =
            line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#') && !is_code)
        else {
            continue;
        };
        let kept = heading.to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = seen.entry(anchor.clone()).and_modify(|count| *count += 1).or_insert(0);
        found.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
    }
    found
}

/// Whether a link into the repository leads to a file, and to a heading if it names one.
fn is_in_repository(path: &Path, fragment: Option<&str>) -> bool {
    let file = repository("").join(path);
    match fragment {
        None => file.exists(),
        Some(fragment) => fs::read_to_string(file).is_ok_and(|text| anchors(&text).contains(fragment)),
    }
}

fn of_repository(link: &str) -> Option<bool> {
    let path = link.strip_prefix(REPOSITORY)?;
    let path = path.strip_prefix("blob/main/").or_else(|| path.strip_prefix("tree/main/"))?;
    let (path, fragment) = path.split_once('#').map_or((path, None), |(path, fragment)| (path, Some(fragment)));
    Some(is_in_repository(Path::new(path), fragment))
}

#[test]
fn the_site_builds_and_every_link_in_it_leads_somewhere() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let said =
        Command::new(tool("mdbook")?).arg("build").arg(repository("")).arg("--dest-dir").arg(folder.path()).output()?;
    let log = String::from_utf8_lossy(&said.stderr);
    ensure!(said.status.success() && !log.contains("WARN") && !log.contains("ERROR"), "{log}");
    let mut pages = BTreeMap::new();
    for entry in fs::read_dir(folder.path())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // All pages in one, and a page for what is not there.
        if name.ends_with(".html") && !["print.html", "404.html"].contains(&&*name) {
            pages.insert(name, fs::read_to_string(path)?);
        }
    }
    let mut count = 0;
    for (name, page) in &pages {
        for link in [attributes(page, "href"), attributes(page, "src")].concat() {
            if let Some(is_there) = of_repository(link) {
                ensure!(is_there, "{name}: {link} leads to nothing in the repository");
                count += 1;
                continue;
            }
            if link.contains("://") || link.starts_with("data:") {
                continue;
            }
            let (path, fragment) = link.split_once('#').map_or((link, None), |(path, fragment)| (path, Some(fragment)));
            let target = if path.is_empty() { PathBuf::from(name) } else { resolve(Path::new(name), path) };
            ensure!(folder.path().join(&target).exists(), "{name}: {link} leads nowhere");
            if let Some(fragment) = fragment.filter(|fragment| !fragment.is_empty()) {
                let there = pages.get(&target.display().to_string()).context(link.to_owned())?;
                ensure!(attributes(there, "id").contains(&fragment), "{name}: {link} leads to no heading");
            }
            count += 1;
        }
    }
    println!("{} pages, {count} links", pages.len());
    ensure!(pages.len() > 15 && count > 500, "{} pages, {count} links", pages.len());
    Ok(())
}

#[test]
fn every_document_is_a_chapter() -> Result<()> {
    let summary = fs::read_to_string(repository("docs/SUMMARY.md"))?;
    for entry in fs::read_dir(repository("docs"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_chapter = summary.contains(&format!("]({name})"));
        ensure!(is_chapter || !name.ends_with(".md") || name == "SUMMARY.md", "{name} is not in docs/SUMMARY.md");
    }
    Ok(())
}

#[test]
fn links_in_documents_that_lie_elsewhere_lead_somewhere() -> Result<()> {
    let mut count = 0;
    for name in BESIDE {
        let text = fs::read_to_string(repository(name))?;
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if let Some(is_there) = of_repository(link) {
                ensure!(is_there, "{name}: {link} leads to nothing in the repository");
            } else if !link.contains("://") {
                let (path, fragment) = link.split_once('#').map_or((link, None), |(path, place)| (path, Some(place)));
                let target = if path.is_empty() { PathBuf::from(name) } else { resolve(Path::new(name), path) };
                ensure!(is_in_repository(&target, fragment), "{name}: {link} leads nowhere");
                count += 1;
            }
        }
    }
    ensure!(count > 30, "only {count} links");
    Ok(())
}

#[test]
fn a_newcomer_finds_each_of_twenty_answers_with_one_click_from_the_first_page() -> Result<()> {
    let page = fs::read_to_string(repository("docs/README.md"))?;
    let questions: Vec<_> = page.lines().filter(|line| line.starts_with("| ") && line.contains("? | [")).collect();
    ensure!(questions.len() >= 20, "{} questions", questions.len());
    let readme = fs::read_to_string(repository("README.md"))?;
    ensure!(readme.contains("(docs/README.md#questions)"), "the README does not lead there");
    ensure!(readme.lines().count() <= 100, "the README is longer than two screens");
    Ok(())
}

#[test]
fn a_broken_link_is_noticed() -> Result<()> {
    ensure!(of_repository(&format!("{REPOSITORY}blob/main/README.md")) == Some(true));
    ensure!(of_repository(&format!("{REPOSITORY}blob/main/README.md#two-commands")) == Some(true));
    ensure!(of_repository(&format!("{REPOSITORY}blob/main/README.md#three")) == Some(false));
    ensure!(of_repository(&format!("{REPOSITORY}blob/main/absent.md")) == Some(false));
    ensure!(resolve(Path::new("docs/a.md"), "../b.md") == Path::new("b.md"));
    ensure!(attributes("<a href=\"x\"><a href=\"y#z\">", "href") == ["x", "y#z"]);
    Ok(())
}

#[test]
fn versions_are_the_same_everywhere() -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    // Python has its own way to write an alpha.
    let python = version.replace("-alpha.", "a");
    for (file, text) in [
        ("CHANGELOG.md", format!("## {version}")),
        ("clients/python/pyproject.toml", format!("version = \"{python}\"")),
        ("clients/typescript/package.json", format!("\"version\": \"{version}\"")),
        ("deploy/Dockerfile", format!("image.version=\"{version}\"")),
        ("docs/quick-start-bot.md", format!("cofferdam@{version}")),
        ("docs/upgrading.md", format!("## To {version}")),
        ("README.md", format!("cofferdam@{version}")),
    ] {
        ensure!(fs::read_to_string(repository(file))?.contains(&text), "{file} has no {text}");
    }
    // The one toolchain with which everything is tested is the oldest that is promised.
    let toolchain = fs::read_to_string(repository("rust-toolchain.toml"))?;
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    ensure!(toolchain.contains(&format!("channel = \"{oldest}.0\"")), "rust-toolchain.toml is not {oldest}");
    ensure!(
        fs::read_to_string(repository("deploy/Dockerfile"))?.contains(&format!("FROM rust:{oldest}.0-")),
        "Dockerfile"
    );
    Ok(())
}
