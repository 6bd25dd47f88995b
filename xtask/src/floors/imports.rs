//! What the files of a package import, read from their tokens: also within macros, and in paths of expressions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path into the package's own modules, somewhere in one of its files.
#[derive(Debug)]
pub struct Import {
    /// The file, below the package's sources.
    pub file: String,
    /// The module that the file is.
    pub from: Vec<String>,
    /// From the package's root.
    path: Vec<String>,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crate::{}", self.path.join("::"))
    }
}

/// The modules of a package and what they import from each other.
#[derive(Default)]
pub struct Package {
    modules: BTreeSet<Vec<String>>,
    imports: Vec<Import>,
    /// What a module makes known under a name of its own: where it really is.
    named: BTreeMap<Vec<String>, Vec<String>>,
}

impl Package {
    /// Reads all files below `source`.
    pub fn read(source: &Path) -> Result<Self> {
        let mut files = Vec::new();
        collect(source, &mut Vec::new(), &mut files)?;
        let mut package = Self { modules: files.iter().map(|file| file.module.clone()).collect(), ..Self::default() };
        for file in &files {
            let text = std::fs::read_to_string(source.join(&file.name));
            let text = text.with_context(|| format!("cannot read {}", source.join(&file.name).display()))?;
            let tokens: TokenStream = text.parse().map_err(|error| anyhow!("{}: {error}", file.name))?;
            package.walk(file, &mut file.module.clone(), tokens);
        }
        Ok(package)
    }

    pub fn imports(&self) -> &[Import] {
        &self.imports
    }

    /// The names of the modules in a module.
    pub fn children<'a>(&'a self, module: &'a [String]) -> impl Iterator<Item = &'a str> {
        let below = self.modules.iter().filter_map(move |other| other.strip_prefix(module));
        below.filter(|rest| rest.len() == 1).map(|rest| rest[0].as_str())
    }

    /// Which module in `module` an import leads into.
    pub fn child<'a>(&'a self, module: &[String], import: &'a Import) -> Option<&'a str> {
        let mut path = &import.path;
        // A name may stand for another, but not for ever.
        for _ in 0..8 {
            let rest = path.strip_prefix(module)?;
            let child = &path[..module.len() + usize::from(!rest.is_empty())];
            if child.len() > module.len() && self.modules.contains(child) {
                return Some(&rest[0]);
            }
            path = self.named.get(child)?;
        }
        None
    }

    fn walk(&mut self, file: &File, module: &mut Vec<String>, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at..] {
                [TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Group(group), ..]
                    if word == "mod" && group.delimiter() == Delimiter::Brace =>
                {
                    module.push(name.to_string());
                    self.walk(file, module, group.stream());
                    module.pop();
                    at += 3;
                }
                [TokenTree::Ident(word), rest @ ..] if word == "use" => {
                    let end = rest.iter().position(|token| is(token, ';')).unwrap_or(rest.len());
                    self.tree(file, module, Vec::new(), &rest[..end], true);
                    at += 1 + end;
                }
                [TokenTree::Ident(word), ..] if is_root(&word.to_string()) && leads_on(&tokens[at + 1..]) => {
                    // The whole path, as far as it is one.
                    let mut end = at + 1;
                    while leads_on(&tokens[end..]) && matches!(tokens.get(end + 2), Some(TokenTree::Ident(_))) {
                        end += 3;
                    }
                    self.tree(file, module, Vec::new(), &tokens[at..end], false);
                    at = end;
                }
                [TokenTree::Group(group), ..] => {
                    self.walk(file, module, group.stream());
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    /// Takes in a path, or a tree of paths in braces.
    fn tree(&mut self, file: &File, module: &[String], mut path: Vec<String>, tokens: &[TokenTree], is_use: bool) {
        let mut alias = None;
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(word) if word == "as" => alias = tokens.get(at + 1).map(ToString::to_string),
                TokenTree::Ident(word) if alias.is_none() => path.push(word.to_string()),
                TokenTree::Group(group) => {
                    let inner: Vec<_> = group.stream().into_iter().collect();
                    for branch in inner.split(|token| is(token, ',')).filter(|branch| !branch.is_empty()) {
                        self.tree(file, module, path.clone(), branch, is_use);
                    }
                    return;
                }
                _ => {}
            }
        }
        let is_glob = tokens.last().is_some_and(|token| is(token, '*'));
        let Some(path) = self.absolute(module, path) else { return };
        if let Some(name) = alias.or_else(|| path.last().cloned()).filter(|_| is_use && !is_glob) {
            let name = module.iter().cloned().chain([name]).collect();
            if name != path {
                self.named.insert(name, path.clone());
            }
        }
        self.imports.push(Import { file: file.name.clone(), from: file.module.clone(), path });
    }

    /// The path from the package's root; `None` where it leads into another package.
    fn absolute(&self, module: &[String], path: Vec<String>) -> Option<Vec<String>> {
        let mut from = module.to_vec();
        let mut words = path.into_iter().peekable();
        match words.peek()?.as_str() {
            "crate" => {
                from.clear();
                words.next();
            }
            "self" => drop(words.next()),
            "super" => {
                while words.next_if(|word| word == "super").is_some() {
                    from.pop();
                }
            }
            word => {
                let child: Vec<_> = module.iter().cloned().chain([word.to_owned()]).collect();
                if !self.modules.contains(&child) {
                    return None;
                }
            }
        }
        // `a::{self, b}`
        Some(from.into_iter().chain(words.filter(|word| word != "self")).collect())
    }
}

struct File {
    name: String,
    module: Vec<String>,
}

fn collect(source: &Path, folder: &mut Vec<String>, files: &mut Vec<File>) -> Result<()> {
    let path = source.join(folder.join("/"));
    for entry in std::fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            folder.push(name);
            collect(source, folder, files)?;
            folder.pop();
        } else if let Some(stem) = name.strip_suffix(".rs") {
            let own = (!["lib", "main", "mod"].contains(&stem)).then(|| stem.to_owned());
            let module = folder.iter().cloned().chain(own).collect();
            files.push(File {
                name: folder.iter().chain([&name]).map(String::as_str).collect::<Vec<_>>().join("/"),
                module,
            });
        }
    }
    Ok(())
}

fn is_root(word: &str) -> bool {
    ["crate", "self", "super"].contains(&word)
}

/// Whether a path goes on here.
fn leads_on(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [one, other, ..] if is(one, ':') && is(other, ':'))
}

fn is(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}
