# Run under flock(1): the whole change is in one exclusive section.
number=$(cat counter)
echo $((number + 1)) > counter
