package main

import (
	"encoding/json"
	"os"
)

func main() {
	name := os.Args[1]
	data := map[string]int{}
	text, err := os.ReadFile("state.json")
	if err != nil {
		panic(err)
	}
	if err := json.Unmarshal(text, &data); err != nil {
		panic(err)
	}
	data[name] = 1
	text, _ = json.Marshal(data)
	if err := os.WriteFile(name+".tmp", text, 0o644); err != nil {
		panic(err)
	}
	if err := os.Rename(name+".tmp", "state.json"); err != nil {
		panic(err)
	}
}
