set -e
git init -q .
git config user.name somebody
git config user.email somebody@example.org
for file in a b; do echo 1 > $file; done
git add a b
git commit -qm first
for file in a b; do echo 2 > $file; done
