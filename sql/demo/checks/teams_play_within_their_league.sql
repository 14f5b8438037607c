-- description: Both teams of a match belong to the league it counts for
SELECT matches.id, matches.league_id, teams.name AS team, teams.league_id AS league_of_team
FROM matches
JOIN teams ON teams.id IN (matches.home_team_id, matches.away_team_id)
WHERE teams.league_id <> matches.league_id
ORDER BY matches.id, teams.id
