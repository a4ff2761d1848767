mod cases;
mod walk;
