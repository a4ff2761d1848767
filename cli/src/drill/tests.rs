mod cases;
mod interruption;
