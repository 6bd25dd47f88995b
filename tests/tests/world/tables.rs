//! Tables that others made are what the operations rely on, are made so, or are refused by name.
