update counter set n = n + 10;
