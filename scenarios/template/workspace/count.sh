# Adds one to the number in the file `count`: reads it, then writes it. What another writes in between is lost.
read n < count
echo $((n + 1)) > count
