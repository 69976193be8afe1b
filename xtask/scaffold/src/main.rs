mod users;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = users::router(users::Users::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}
