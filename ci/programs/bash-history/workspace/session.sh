HISTFILE=history
set -o history
history -s "echo $1"
history -a
