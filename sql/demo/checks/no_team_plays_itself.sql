-- description: A match has two different teams
SELECT id, round, kickoff, home_team_id
FROM matches
WHERE home_team_id = away_team_id
ORDER BY id
