update counter set n = n + 1;
