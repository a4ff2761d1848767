mod batch;
mod cases;
