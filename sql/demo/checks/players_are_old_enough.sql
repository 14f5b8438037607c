-- description: Nobody plays before the 15th birthday, let alone before the day of birth
SELECT
    players.id,
    players.name,
    players.birth_date,
    (min(matches.kickoff) AT TIME ZONE 'UTC')::date AS first_match
FROM player_stats
JOIN players ON players.id = player_stats.player_id
JOIN matches ON matches.id = player_stats.match_id
GROUP BY players.id
HAVING (min(matches.kickoff) AT TIME ZONE 'UTC')::date < players.birth_date + interval '15 years'
ORDER BY players.id
