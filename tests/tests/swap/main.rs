//! The plugin is swapped while operations run: on real databases, with real components, good ones and bad ones.

mod hostile;
mod last_good;
mod load;
mod outage;
mod rig;
mod schema;
mod trial;
mod turns;
